// Command choosing chooses a tag as Flux's image-reflector-controller does (internal/policy, and the sorting of the
// tag store), and says how long each part took. Usage: choosing POLICY ARGUMENT PATTERN EXTRACT < tags
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// parseVersion is fluxcd/pkg/version ParseVersion.
func parseVersion(v string) (*semver.Version, error) {
	if len(strings.SplitN(v, ".", 3)) != 3 {
		return nil, semver.ErrInvalidSemVer
	}
	return semver.NewVersion(v)
}

func semverLatest(argument string, tags []string) (string, error) {
	constraint, err := semver.NewConstraint(argument)
	if err != nil {
		return "", err
	}
	var latest *semver.Version
	for _, tag := range tags {
		if v, err := parseVersion(tag); err == nil {
			if constraint.Check(v) && (latest == nil || v.GreaterThan(latest)) {
				latest = v
			}
		}
	}
	if latest == nil {
		return "", errors.New("unable to determine latest version from provided list")
	}
	return latest.Original(), nil
}

func alphabeticalLatest(_ string, tags []string) (string, error) {
	slices.Sort(tags)
	return tags[len(tags)-1], nil
}

func numericalLatest(_ string, tags []string) (string, error) {
	latest, previous := "", 0.0
	for i, tag := range tags {
		current, err := strconv.ParseFloat(tag, 64)
		if err != nil {
			return "", fmt.Errorf("failed to parse invalid numeric value '%s'", tag)
		}
		if i > 0 && current < previous {
			continue
		}
		latest, previous = tag, current
	}
	return latest, nil
}

func filter(pattern, extract string, tags []string) (map[string]string, []string) {
	re := regexp.MustCompile(pattern)
	filtered := map[string]string{}
	for _, tag := range tags {
		if at := re.FindStringSubmatchIndex(tag); len(at) > 0 {
			key := tag
			if extract != "" {
				key = string(re.ExpandString(nil, extract, tag, at))
			}
			filtered[key] = tag
		}
	}
	items := make([]string, 0, len(filtered))
	for key := range filtered {
		items = append(items, key)
	}
	return filtered, items
}

// memory is the highest resident set so far, in MB; rusage would count that of the parent.
func memory() int {
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kilobytes, _ := strconv.Atoi(fields[1])
			return kilobytes / 1024
		}
	}
	return 0
}

func main() {
	var tags []string
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		tags = append(tags, scanner.Text())
	}
	exclude := regexp.MustCompile(`^.*\.sig$`)
	started := time.Now()
	tags = slices.DeleteFunc(tags, exclude.MatchString)
	excluded := time.Now()
	slices.SortStableFunc(tags, func(a, b string) int { return -strings.Compare(a, b) })
	sorted := time.Now()
	var originals map[string]string
	if os.Args[3] != "" {
		originals, tags = filter(os.Args[3], os.Args[4], tags)
	}
	filtered := time.Now()
	latest := map[string]func(string, []string) (string, error){
		"semver": semverLatest, "alphabetical": alphabeticalLatest, "numerical": numericalLatest,
	}[os.Args[1]]
	chosen, err := latest(os.Args[2], tags)
	ended := time.Now()
	if err != nil {
		chosen = err.Error()
	} else if originals != nil {
		chosen = originals[chosen]
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"chosen": chosen, "rss_mb": memory(),
		"exclude_s": excluded.Sub(started).Seconds(), "sort_s": sorted.Sub(excluded).Seconds(),
		"filter_s": filtered.Sub(sorted).Seconds(), "policy_s": ended.Sub(filtered).Seconds(),
		"total_s": ended.Sub(started).Seconds(),
	})
}
