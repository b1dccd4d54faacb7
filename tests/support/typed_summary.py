"""Comparison of a summary.json with the declared type of its keys."""

from types import NoneType, UnionType
from typing import NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict


def mismatches(content, kind, path="summary"):
    """Keys that are missing, undeclared, or of another type than declared, each as one line."""
    if get_origin(kind) is NotRequired:
        return mismatches(content, *get_args(kind), path)
    if get_origin(kind) in (Union, UnionType):
        found = [mismatches(content, part, path) for part in get_args(kind)]
        return [] if [] in found else max(found, key=len)
    if is_typeddict(kind):
        if not isinstance(content, dict):
            return [f"{path}: is {type(content).__name__}"]
        hints = get_type_hints(kind, include_extras=True)
        lines = [f"{path}.{key}: is not declared" for key in content if key not in hints]
        lines += [f"{path}.{key}: is missing" for key in kind.__required_keys__ - content.keys()]
        for key in hints.keys() & content.keys():
            lines += mismatches(content[key], hints[key], f"{path}.{key}")
        return lines
    if get_origin(kind) is dict:
        of = get_args(kind)[1]
        return [text for k, v in content.items() for text in mismatches(v, of, f"{path}.{k}")]
    if get_origin(kind) is list:
        (of,) = get_args(kind)
        return [text for v in content for text in mismatches(v, of, f"{path}[]")]
    if kind is None or kind is NoneType:
        return [] if content is None else [f"{path}: is not null"]
    accepted = (int, float) if kind is float else kind
    wrong = not isinstance(content, accepted) or (isinstance(content, bool) and kind is not bool)
    return [f"{path}: is {type(content).__name__}, not {kind.__name__}"] if wrong else []
