"""Whether a JSON value is what an SDK's own request types allow: TypedDicts and pydantic models, read without their
validators, which let unknown members and lazy lists pass."""

import collections.abc
import types
import typing

import pydantic
import typing_extensions

PLAIN = {str: str, bool: bool, int: int, float: (int, float), bytes: str, type(None): type(None)}
LISTS = (list, tuple, set, collections.abc.Iterable, collections.abc.Sequence, typing.Iterable, typing.Sequence)


def faults(value, wanted, at=""):
    """What is wrong, a line each; none: it fits."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted in (typing.Any, object):
        return []
    if isinstance(wanted, (typing.TypeVar, typing_extensions.TypeVar)):
        return []
    if origin in (typing.Annotated, typing_extensions.Annotated, typing.Required, typing_extensions.Required, typing.NotRequired, typing_extensions.NotRequired):
        return faults(value, arguments[0], at)
    if isinstance(wanted, typing_extensions.TypeAliasType):
        return faults(value, wanted.__value__, at)
    if origin in (typing.Union, types.UnionType):
        return min((faults(value, choice, at) for choice in arguments), key=lambda found: (len(found), depth(found)))
    if origin in (typing.Literal, typing_extensions.Literal):
        return [] if value in arguments else [f"{at}: {value!r} is none of {arguments}"]
    if wanted in PLAIN:
        is_right = isinstance(value, PLAIN[wanted]) and (wanted is bool or not isinstance(value, bool))
        return [] if is_right else [f"{at}: {value!r} is no {wanted.__name__}"]
    if origin in LISTS or wanted in LISTS:
        if not isinstance(value, list):
            return [f"{at}: {value!r} is no list"]
        each = arguments[0] if arguments else object
        return [fault for index, item in enumerate(value) for fault in faults(item, each, f"{at}[{index}]")]
    if origin in (dict, collections.abc.Mapping) or wanted is dict:
        return [] if isinstance(value, dict) else [f"{at}: {value!r} is no object"]
    if isinstance(wanted, type) and issubclass(wanted, pydantic.BaseModel):
        fields = {field.alias or field.serialization_alias or name: (field.annotation, field.is_required()) for name, field in wanted.model_fields.items()}
        return members(value, fields, at, wanted)
    if typing_extensions.is_typeddict(wanted):
        hints = typing_extensions.get_type_hints(wanted, include_extras=True)
        return members(value, {name: (hint, is_required(name, hint, wanted)) for name, hint in hints.items()}, at, wanted)
    if isinstance(wanted, type) and issubclass(wanted, str):
        known = {member.value for member in wanted} if hasattr(wanted, "__members__") else None
        return [] if isinstance(value, str) and (known is None or value in known) else [f"{at}: {value!r} is none of {known}"]
    return [f"{at}: {wanted} is not understood"]


def is_required(name, hint, wanted):
    """`__required_keys__` does not see through annotations that are strings."""
    origin = typing.get_origin(hint)
    if origin in (typing.NotRequired, typing_extensions.NotRequired):
        return False
    return origin in (typing.Required, typing_extensions.Required) or declared_by(name, wanted).__total__


def declared_by(name, wanted):
    """Whether members are required by themselves is each class's own affair."""
    for base in getattr(wanted, "__orig_bases__", ()):
        if typing_extensions.is_typeddict(base) and name in base.__annotations__:
            return declared_by(name, base)
    return wanted


def depth(found):
    """A choice that fits until deep inside was the one that was meant."""
    return -max((line.split(":")[0].count(".") + line.split(":")[0].count("[") for line in found), default=0)


def members(value, fields, at, wanted):
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is no object"]
    found = [f"{at}.{name}: {wanted.__name__} has no such member" for name in value if name not in fields]
    found += [f"{at}.{name}: {wanted.__name__} requires it" for name, (_, required) in fields.items() if required and name not in value]
    for name, (hint, _) in fields.items():
        if name in value:
            found += faults(value[name], hint, f"{at}.{name}")
    return found
