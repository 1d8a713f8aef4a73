"""validate.py SOURCE SCHEMA FILE...: one line for every way a file breaks docs/SCHEMA.schema.json.

Networks inside results are checked apart: nothing is fetched, and references between files work
differently from version to version of jsonschema. Exit code 77: jsonschema is not installed.
"""

import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(77)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def faults(schema, document):
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    for error in validator(schema).iter_errors(document):
        yield f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"


def main():
    docs = sys.argv[1] + "/docs/"
    schema = load(docs + sys.argv[2] + ".schema.json")
    network = load(docs + "network.schema.json")
    if sys.argv[2] == "results":
        row = schema["properties"]["front"]["items"]["properties"]
        row["network"] = {"type": ["object", "null"]}
    bad = False
    for path in sys.argv[3:]:
        document = load(path)
        found = list(faults(schema, document))
        if sys.argv[2] == "results":
            for row in document["front"]:
                if row["network"] is not None:
                    found += faults(network, row["network"])
        for fault in found:
            print(f"{path}: {fault}")
            bad = True
    sys.exit(bad)


main()
