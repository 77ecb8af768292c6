#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the JSON Schemas of proto/schema and the vectors of proto/vectors agree?

    test_schema.py SOURCE

Every vector is listed in expected.txt; every accepted one is valid by its kind's schema; every refused one
that a schema can see is invalid; every field of a schema stands in the tables of the pages.  Skips (77)
without python3-jsonschema.
"""
import json
import os
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed: the schemas were not checked")
    sys.exit(77)

# Each kind of message, and the pages that tell of its fields.
KINDS = {
    "frame": ["frame.md"],
    "event": ["event.md"],
    "intent": ["intent.md"],
    "stale": ["intent.md"],
    "status": ["status.md", "control.md", "event.md", "README.md"],
    "control-request": ["control.md", "event.md"],
    "control-reply": ["control.md", "status.md", "event.md", "README.md"],
}


def refuse_constant(word):
    raise ValueError(f"{word} is no JSON")


def load(text):
    return json.loads(text, parse_constant=refuse_constant)


def validators(source):
    made = {}
    for kind in KINDS:
        with open(os.path.join(source, "proto/schema", kind + ".json"), encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft202012Validator.check_schema(schema)
        made[kind] = jsonschema.Draft202012Validator(schema)
    return made


def expected(folder):
    with open(os.path.join(folder, "expected.txt"), encoding="utf-8") as file:
        lines = [line for line in file.read().split("\n") if line and not line.startswith("#")]
    rows = [line.split() for line in lines]
    assert all(len(row) == 5 for row in rows), "expected.txt: not five columns everywhere"
    return rows


def check_listing(folder, rows):
    listed = [row[0] for row in rows]
    there = [os.path.join(kind, name) for kind in sorted(os.listdir(folder))
             if os.path.isdir(os.path.join(folder, kind)) for name in os.listdir(os.path.join(folder, kind))]
    for path in sorted(set(there) - set(listed)):
        yield f"{path}: not listed in expected.txt"
    for path in sorted(set(listed) - set(there)):
        yield f"{path}: listed in expected.txt, but not there"
    for path in sorted({path for path in listed if listed.count(path) > 1}):
        yield f"{path}: listed twice"


def check_vector(folder, validator, path, outcome, schema):
    with open(os.path.join(folder, path), "rb") as file:
        text = file.read()
    try:
        message = load(text.decode("utf-8"))
    except ValueError:
        if schema != "none" or outcome != "syntax":
            yield f"{path}: not JSON, but listed as {outcome}, schema {schema}"
        return
    if schema == "none":
        if outcome != "syntax":
            yield f"{path}: JSON, but listed as none"
        return
    valid = validator.is_valid(message)
    if outcome == "accepted" and schema != "valid":
        yield f"{path}: accepted, but listed as {schema}"
    if valid != (schema in ("valid", "blind")):
        error = "" if valid else f" ({next(validator.iter_errors(message)).message})"
        yield f"{path}: listed as {schema}, but the schema says {'valid' if valid else 'invalid'}{error}"


def fields(schema):
    """Names of all properties that a schema knows, at any depth."""
    if isinstance(schema, dict):
        yield from (name for name, value in schema.get("properties", {}).items() if value is not False)
        for value in schema.values():
            yield from fields(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from fields(value)


def check_pages(source, made):
    """Each field stands in a table of the pages that tell of its kind."""
    for kind, validator in made.items():
        rows = ""
        for page in KINDS[kind]:
            with open(os.path.join(source, "proto", page), encoding="utf-8") as file:
                rows += " ".join(line for line in file if line.startswith("|"))
        for name in sorted(set(fields(validator.schema))):
            if f"`{name}`" not in rows:
                yield f"{KINDS[kind][0]}: no row tells of `{name}`, which {kind}.json knows"


def main(source):
    folder = os.path.join(source, "proto/vectors")
    made = validators(source)
    rows = expected(folder)
    breaches = list(check_listing(folder, rows))
    count = dict.fromkeys(KINDS, 0)
    for path, outcome, _, _, schema in rows:
        kind = path.split("/")[0]
        if path.endswith(".json"):
            count[kind] += 1
            breaches += check_vector(folder, made[kind], path, outcome, schema)
    breaches += check_pages(source, made)
    print(", ".join(f"{count[kind]} {kind}" for kind in KINDS))
    for breach in breaches:
        print(breach)
    return 1 if breaches or not all(count.values()) else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
