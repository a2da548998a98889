"""Make ResourceLists that try hard to be misread: a grammar for documents, and mutations of them."""

import random

HEAD = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n"
MARKS = [
    '# {"$imagepolicy": "f:n"}',
    '# {"$imagepolicy": "f:t:tag"}',
    '## {"$imagepolicy": "f:n"}',
    '#{"$imagepolicy":"f:n"}',
]
VALUES = ["nginx:1", "ghcr.io/a/b:4", "1.0", "web:9", "nginx:9", "null", "~", ""]
NOISE = [" ", "\n", "#", "- ", ": ", ", ", '"', "'", "{", "}", "[", "]", "|", "\t", "&a ", "*a", "? ", "é", "\r", "\x85", "!!str ",
         "\n- ", "\n  - ", "\nitems:\n", "\n---\n", "\n...\n", "image: nginx:1", '"$imagepolicy"', "\\", "%", "😀"]  # fmt: skip


class Writer:
    """Writes one document from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def comment(self, chance: float = 0.4) -> str:
        if self.random.random() > chance:
            return ""
        return self.pick(" ", "  ", "\t") + self.pick(*MARKS, "# note", "# it's {", '# "q')

    def scalar(self) -> str:
        value = self.random.choice(VALUES)
        style = self.random.random()
        if style < 0.6:
            return value
        if style < 0.75:
            return f'"{value}"'
        if style < 0.9:
            return f"'{value}'"
        return self.pick(
            f"&x {value or 'k'}",
            f"!!str {value or 'k'}",
            '"ngi\\x6ex:1"',
            "nginx\n            foo",
            '"a\n  b"',
            "*x",
            "{a: nginx:1}",
            "[nginx:1]",
        )

    def block_scalar(self, indent: str) -> str:
        lines = [
            self.pick("image: nginx:1 " + MARKS[0], "- image: nginx:1", "# x", "", "  deeper")
            for _ in range(self.random.randint(1, 4))
        ]
        return (
            self.pick("|", ">", "|-", "|+")
            + self.comment(0.3)
            + "".join(f"\n{indent}{line}" if line else "\n" for line in lines)
        )

    def item(self, indent: str) -> str:
        inner = indent + "  "
        head = self.random.random()
        if head < 0.05:
            return f"{indent}- {self.scalar()}{self.comment()}\n"
        if head < 0.1:
            return f"{indent}- {self.block_scalar(inner)}\n"
        if head < 0.15:
            return f'{indent}- {{"kind": "Pod", "spec": {{"image": "nginx:1"}}}}{self.comment()}\n'
        lines = [self.pick("kind: Pod", "kind : Pod", '"kind": Pod'), "metadata:", "  name: x"]
        lines += [f"image: {self.scalar()}{self.comment()}"]
        lines += [
            f"spec:{self.comment(0.2)}",
            f"  {self.pick('', '- ')}image{self.pick(':', ' :')} {self.scalar()}{self.comment()}",
        ]
        if self.random.random() < 0.4:
            lines += ["list:", f"{self.pick('', '  ')}- {self.scalar()}{self.comment()}"]
        if self.random.random() < 0.3:
            lines += [f"text: {self.block_scalar(inner + '    ')}"]
        if self.random.random() < 0.15:
            lines += [f"quoted: {self.pick(chr(34), chr(39))}x", "- image: nginx:1 " + MARKS[0], self.pick('"', "'")]
        if self.random.random() < 0.1:
            lines.append("? k\n" + inner + ": nginx:1")
        if self.random.random() < 0.2:
            lines.insert(self.random.randrange(len(lines)), self.pick("# note", MARKS[0], ""))
        start = self.pick(
            f"{indent}- ", f"{indent}- ", f"{indent}- # head\n{inner}", f"{indent}-\n{inner}", f"{indent}-   "
        )
        if start.endswith("-   "):
            inner += "  "
        return start + f"\n{inner}".join(lines) + "\n"

    def document(self) -> str:
        indent = self.pick("", "", "  ", "    ")
        items = "".join(self.item(indent) for _ in range(self.random.randint(1, 4)))
        config = "functionConfig:\n  kind: ConfigMap\n  data: {a: b}\n"
        opening = self.pick(*["items:\n"] * 9, "items: # all\n", "items:#x\n", '"items":\n', "items: &i\n")
        text = self.pick(HEAD + opening + items, HEAD + config + opening + items, HEAD + opening + items + config)
        return self.pick(text, text, text, text.replace("\n", "\r\n"), text.rstrip("\n"))

    def mutated(self) -> str:
        text = self.document()
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2, 3))):
            at = self.random.randrange(len(text) + 1)
            if self.random.random() < 0.3:
                text = text[:at] + text[at + self.random.randint(1, 3) :]
            else:
                text = text[:at] + self.random.choice(NOISE) + text[at:]
        return text


def document(seed: int) -> bytes:
    """Return the document of a seed: valid more often than not."""
    return Writer(seed).mutated().encode()
