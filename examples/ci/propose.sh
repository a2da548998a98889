#!/bin/sh
# usage: propose.sh BRANCH PATH...   (in a checkout; further options of `git push` in PUSH_OPTIONS)
# Updates the images below PATH and pushes the change as BRANCH; the commit says what changed and why.
# Exit 0: pushed, or nothing to change. Else krmfn's or git's exit code, and nothing is pushed.
set -eu
branch=$1
shift
why=$(krmfn update "$@" --output markdown) || { code=$?; echo "$why" >&2; exit "$code"; }
if git diff --quiet; then
  echo "every image is the newest that its policy allows"
  exit 0
fi
git switch --quiet --force-create "$branch"
git commit --quiet --all --message "Update images" --message "$why"
# shellcheck disable=SC2086 - options are words
git push --quiet --force ${PUSH_OPTIONS:-} origin "HEAD:refs/heads/$branch"
echo "pushed $branch"
