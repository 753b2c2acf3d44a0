"""What the pages name exists in the tree, they agree on the version, and the tree speaks one vocabulary.

pages_test.py            exit code 0: all hold; 1: one line for each offence
pages_test.py --report   also lists uses of refused words while VOCABULARY_ENFORCED is False

The sizes of folders in docs/architecture.md hold to a sixth, and its count of functions exactly.

Checked in PAGES: `path` and [link](path) by existence; `path:name` and `name` in `path` by the word
in that file; `Name`, `Class::Method` and `some_field` by the word in any source.
"""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/adding.md"]
OPTIONAL_PAGES = ["docs/glossary.md"]
SOURCES = {".h", ".cc", ".cu", ".proto", ".py", ".txt", ".cmake", ".textproto"}
FOLDERS = ["actor", "cli", "cmake", "common", "coordinator", "deploy", "docs", "learner", "proto",
           "recipes", "tests"]

# When True, a refused word is an offence, not a line of the report.
VOCABULARY_ENFORCED = True

# (what is refused, what to write instead, where it is allowed). Words of docs/glossary.md have one
# meaning each; the rest is English that readers stumble over.
ANYWHERE_IN = "^docs/glossary.md$|^tests/pages_test.py$"
VOCABULARY = [
    (r"[Jj]udge\w*|judging", "reward, score (compute a reward), check (validate) or verdict", ""),
    (r"class Store\b|enum class Store\b|rpc Store\b", "Store is the coordinator's key-value store",
     "^coordinator/|^tests/"),
    (r"\b[Ee]poch\w*|epochs_", "term for the life of a learner group; epoch is a pass over data",
     "^learner/|^common/config/|^cli/|^proto/(config|storage)|^docs/|^recipes/|^tests/|README"),
    (r"\bGoOn\w*", "Continue or Resume", ""),
    (r"\bGiveBack\b|\bgiv(es?|en|ing) (it |them |all |work |leases? )?back\b|\bgave back\b",
     "release or return", ""),
    (r"\bLend\b|\blends?\b|\blent\b", "lease", ""),
    (r"\bg(oes|o|oing) on\b|\bwent on\b", "continues", ""),
    (r"\bfor people\b|\bfor a person\b", "for humans, for readers or for users", ""),
    (r"\bin front of\b", "before", ""),
    (r"\bstands? in\b|\bstands? (there|together|beside|behind|for the)\b", "is, is in", ""),
    (r"\btakes? up\b", "resumes, starts or handles", ""),
    (r"\bis to be\b|\bare to be\b", "must be, or an active verb", ""),
    (r"\bonce that is\b|\bmended\b", "fix that and run", ""),
    (r"\blies (in|on|at|behind|beside)\b|\blie (in|on|beside)\b", "is in, is at", ""),
    (r"\bbehind (the|it|its|that|them|every|all|a)\b", "after",
     "^docs/"),
]


def text_of(path):
    return path.read_text(encoding="utf-8", errors="replace")


class Tree:
    """The files of the repository, by path and by name, and the words in its sources."""

    def __init__(self):
        self.files = {name: ROOT / name for name in
                      ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "CITATION.cff",
                       "LICENSE", "CMakeLists.txt", "dev"]}
        for folder in FOLDERS:
            for path in (ROOT / folder).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    self.files[path.relative_to(ROOT).as_posix()] = path
        self.by_name = collections.defaultdict(list)
        for name in self.files:
            self.by_name[name.rpartition("/")[2]].append(name)
        self.words = set()
        for path in self.files.values():
            if path.suffix in SOURCES:
                self.words.update(re.findall(r"\w+", text_of(path)))

    def find(self, name):
        """The paths that `name` may mean: a path from the root, its end, or a folder."""
        if name.endswith("/") or (ROOT / name).is_dir():
            return [name] if (ROOT / name).is_dir() else []
        if name in self.files or (ROOT / name).is_file():
            return [name]
        if "*" in name:
            return [str(path) for path in ROOT.glob(name)]
        return [path for path in self.by_name[name.rpartition("/")[2]] if path.endswith("/" + name)]


def expand(name):
    """rows.{h,cc} -> rows.h, rows.cc"""
    match = re.search(r"\{([^{}]*,[^{}]*)\}", name)
    if not match:
        return [name]
    return [done for part in match.group(1).split(",")
            for done in expand(name[:match.start()] + part + name[match.end():])]


PATH = re.compile(r"^[\w./{},*+-]+$")
EXTENSION = re.compile(r"\.(h|cc|cu|py|proto|md|textproto|txt|cmake)$|\.\{h,cc\}$")
SYMBOL = re.compile(r"^[A-Za-z_]\w*((::|\.)[A-Za-z_]\w*)*(\(.*\))?$")
# Files of a run, of a build or of the reader.
NOT_HERE = re.compile(r"^(build|runs/|\./dev|/|~|\.\.|http|checkpoints?/|weights/|eval/|orm/|logs/)|"
                      r"\.(json|jsonl|csv|safetensors|addr|log)$|[A-Z]{3,}/|<|NAME")


def is_path(token):
    if not PATH.match(token) or NOT_HERE.search(token):
        return False
    head = token.split("/")[0]
    return EXTENSION.search(token) is not None or ("/" in token and head in FOLDERS)


def is_symbol(token):
    if not SYMBOL.match(token):
        return False
    last = re.split(r"::|\.", token.partition("(")[0])[-1]
    return (re.search(r"[a-z][A-Z]|^[A-Z][a-z]\w*$|_", last) is not None or "::" in token
            or token.endswith(")"))


def token_offence(tree, token):
    """Why the text between two backticks is wrong; None if it is right or names nothing."""
    path, colon, name = token.partition(":")
    if colon and not name.startswith(":") and is_path(path):
        found = [file for each in expand(path) for file in tree.find(each)]
        if not found:
            return f"there is no file {path}"
        wanted = re.findall(r"\w+", name.partition("(")[0])
        for file in found:
            words = set(re.findall(r"\w+", text_of(ROOT / file)))
            if all(word in words for word in wanted):
                return None
        return f"{path} has no {name}"
    if is_path(token):
        missing = [each for each in expand(token) if not tree.find(each)]
        return f"there is no file {', '.join(missing)}" if missing else None
    if is_symbol(token):
        missing = [word for word in re.findall(r"\w+", token.partition("(")[0])
                   if word not in tree.words]
        return f"no source has the word {', '.join(missing)}" if missing else None
    return None


def page_offences(tree):
    pages = PAGES + [page for page in OPTIONAL_PAGES if (ROOT / page).exists()]
    for page in pages:
        fenced = False
        for number, line in enumerate(text_of(ROOT / page).splitlines(), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            if fenced:
                continue
            for name, path in re.findall(r"`([^`]+)` in `([^`]+)`", line):
                if is_symbol(name) and is_path(path):
                    line = line.replace(f"`{name}` in `{path}`", f"`{path}:{name}`")
            for token in re.findall(r"`([^`]+)`", line):
                why = token_offence(tree, token)
                if why:
                    yield f"{page}:{number}: `{token}`: {why}"
            for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if "://" not in link and not (ROOT / page).parent.joinpath(link).exists():
                    yield f"{page}:{number}: link to {link}, which does not exist"


def lines_of(folder):
    """Lines of the product's sources in a folder: tests and benchmarks are left out."""
    return sum(text_of(path).count("\n") for path in (ROOT / folder).rglob("*")
               if path.suffix in (".h", ".cc", ".cu", ".rs", ".proto") and "target" not in path.parts
               and not re.search(r"_(test|bench)\.cc$", path.name))


def architecture_offences():
    page = text_of(ROOT / "docs/architecture.md")
    for folder, written in re.findall(r"^\| `([\w/]+/)` \|[^|]*\| ([\d,]+) \|", page, re.MULTILINE):
        lines, said = lines_of(folder), int(written.replace(",", ""))
        if abs(lines - said) * 6 > lines:
            yield f"docs/architecture.md: {folder} has {lines:,} lines, not {said:,}"
    walk = page.partition("\n## The life of a rollout")[2].partition("\nThe table names")
    said = int(re.match(r" (\d+) functions", walk[2]).group(1))
    named = len(re.findall(r"`[\w/]+\.cc:\w+`", walk[0]))
    if named != said:
        yield f"docs/architecture.md: the life of a rollout names {named} functions, not {said}"


def vocabulary_offences(tree):
    rules = [(re.compile(word), instead, re.compile(f"{allowed}|{ANYWHERE_IN}" if allowed
                                                    else ANYWHERE_IN))
             for word, instead, allowed in VOCABULARY]
    for name, path in sorted(tree.files.items()):
        if path.suffix not in (".h", ".cc", ".cu", ".proto", ".md"):
            continue
        for number, line in enumerate(text_of(path).splitlines(), 1):
            for word, instead, allowed in rules:
                match = word.search(line)
                if match and not allowed.search(name):
                    yield f"{name}:{number}: \"{match.group(0)}\": write {instead}"


def version_offences():
    """CMakeLists.txt holds the version; the pages that repeat it agree."""
    version = re.search(r"project\(reckon VERSION ([\d.]+)", text_of(ROOT / "CMakeLists.txt")).group(1)
    for page, pattern in [("CITATION.cff", r"^version: (.*)$"), ("CHANGELOG.md", r"^## (\S+)")]:
        found = re.search(pattern, text_of(ROOT / page), re.MULTILINE)
        if not found or found.group(1) != version:
            yield f"{page}: the newest version must be {version}, as in CMakeLists.txt"


def main():
    tree = Tree()
    found = (list(page_offences(tree)) + list(version_offences()) + list(architecture_offences()))
    words = list(vocabulary_offences(tree))
    if VOCABULARY_ENFORCED:
        found += words
    elif "--report" in sys.argv[1:]:
        print(*words, f"{len(words)} uses of refused words", sep="\n")
    print("\n".join(found) if found else "pages: what they name exists")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
