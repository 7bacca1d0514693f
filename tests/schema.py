"""A small checker of JSON against a schema, for the files of tests/golden.

The schemas (tests/golden/schemas) are JSON Schema, draft 2020-12, of which these words are used and known here: type,
enum, const, minimum, maximum, pattern, items, minItems, maxItems, properties, required, additionalProperties,
minProperties, anyOf, $ref to "#/$defs/NAME", $defs; and $schema, title, description, which say something to people alone. Any other is
refused: a word that is not looked at would look like one that holds. An integer is a whole number without a fraction;
true and false are no numbers.
"""
import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
         "null": type(None)}
SPOKEN = {"$schema", "title", "description", "$defs"}
KNOWN = SPOKEN | {"type", "enum", "const", "minimum", "maximum", "pattern", "items", "minItems", "maxItems",
                  "properties", "required", "additionalProperties", "minProperties", "anyOf", "$ref"}


def problem(value, schema, root=None, place="it"):
    """The first thing that is wrong with a value of JSON's types, in words; None if nothing.

    root: the schema whose $defs a $ref means, the outermost one.  Raises ValueError if the schema has unknown words.
    """
    root = schema if root is None else root
    if schema is True:
        return None
    if schema is False:
        return f"{place} may not be there"
    unknown = set(schema) - KNOWN
    if unknown:
        raise ValueError(f"the schema says {', '.join(sorted(unknown))}, which is unknown here")
    return next((said for said in (check(value, schema, root, place) for check in CHECKS) if said), None)


def _scalar(value, schema, root, place):
    """What is wrong with it by itself."""
    wanted = schema.get("type", list(TYPES))
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if not any(_is(value, name) for name in wanted):
        return f"{place} is not of type {' or '.join(wanted)}"
    if "const" in schema and not _equal(value, schema["const"]):
        return f"{place} is not {schema['const']!r}"
    if "enum" in schema and not any(_equal(value, one) for one in schema["enum"]):
        return f"{place} is not one of {', '.join(map(str, schema['enum']))}"
    if _is(value, "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return f"{place} is {value}, outside of {schema.get('minimum', '')}..{schema.get('maximum', '')}"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return f"{place} is {value[:60]!r}, which is not of the form {schema['pattern']}"
    return None


def _is(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or type(value) is not bool)


def _equal(value, wanted):
    return type(value) is type(wanted) and value == wanted


def _array(value, schema, root, place):
    if not isinstance(value, list):
        return None
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return (f"{place} has {len(value)} items, where {schema.get('minItems', 0)} to {schema.get('maxItems', 'any')} "
                "may be")
    return next((said for i, part in enumerate(value)
                 if (said := problem(part, schema.get("items", True), root, f"{place}[{i}]"))), None)


def _object(value, schema, root, place):
    if not isinstance(value, dict):
        return None
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{place} has no {missing[0]}"
    if len(value) < schema.get("minProperties", 0):
        return f"{place} has {len(value)} entries, where at least {schema['minProperties']} should be"
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    return next((said for name, part in value.items()
                 if (said := problem(part, known.get(name, others), root, f"{place}.{name}"))), None)


def _others(value, schema, root, place):
    """What other schemas say that this one names."""
    if "$ref" in schema:
        name = re.fullmatch(r"#/\$defs/(\w+)", schema["$ref"])[1]
        said = problem(value, root["$defs"][name], root, place)
        if said:
            return said
    said = [problem(value, one, root, place) for one in schema.get("anyOf", ())]
    return said[0] if said and all(said) else None


CHECKS = (_scalar, _array, _object, _others)
