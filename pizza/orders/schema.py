"""The order form: what a customer, or another program, sends to place an order.

Pydantic checks the shape (types, names, nothing unknown); the rules are the domain's, and the
limits printed in the OpenAPI page are read from there.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from pizza.domain import names
from pizza.domain import order as rules
from pizza.domain.errors import FieldError, InvalidOrder
from pizza.domain.order import OrderDraft, OrderItem

# What a pattern can say of the domain's rules (pizza.domain.names): no control characters, and none
# that change the direction of the text around them.
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"


def _text(shortest: int, longest: int) -> dict[str, Any]:
    lengths = {"minLength": shortest, "maxLength": longest}
    return {"type": "string", **lengths, "pattern": _PRINTABLE}


def _whole(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


def _choice(values: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(values)})


def nullable(schema: dict[str, Any]) -> WithJsonSchema:
    """The schema of a value that may also be null."""
    return WithJsonSchema({"anyOf": [schema, {"type": "null"}]})


_NAME = _text(1, names.NAME_LENGTH)
_ADDRESS = _text(names.ADDRESS_MIN, names.ADDRESS_MAX)
_TABLE = _whole(1, rules.MAX_TABLE)
_PRIORITY = _whole(rules.MIN_PRIORITY, rules.MAX_PRIORITY)
_NULL = {"type": "null"}


def _number(value: object) -> Decimal:
    # bool is an int to Python, and a string of digits a number to pydantic; neither is to JSON.
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    raise PydanticCustomError("number", "must be a number")


Price = Annotated[
    Decimal,
    PlainValidator(_number),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": float(rules.MAX_PRICE)}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ItemRequest(_Strict):
    """One line of an order."""

    name: Annotated[str, WithJsonSchema(_NAME)]
    quantity: Annotated[int, WithJsonSchema(_whole(1, rules.MAX_QUANTITY))]
    price: Annotated[
        Price | None,
        Field(
            description="for one piece, at most two decimal places; needed unless the restaurant "
            "takes its menu's prices alone (--prices=menu)"
        ),
    ] = None


def _variant(order_type: str, table: dict[str, Any], address: dict[str, Any]) -> dict[str, Any]:
    fields = {"table_number": table, "delivery_address": address}
    needed = [name for name, schema in fields.items() if schema != _NULL]
    # A takeout needs not say so.
    needed += ["order_type"] if needed else []
    return {
        "title": order_type,
        "properties": {"order_type": {"const": order_type}, **fields},
        "required": needed,
    }


class OrderRequest(_Strict):
    """What a customer sends to place an order."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                _variant(rules.DINE_IN, _TABLE, _NULL),
                _variant(rules.TAKEOUT, _NULL, _NULL),
                _variant(rules.DELIVERY, _NULL, _ADDRESS),
            ]
        }
    )

    customer_name: Annotated[str, WithJsonSchema(_NAME)]
    items: Annotated[list[ItemRequest], Field(min_length=1, max_length=rules.MAX_ITEMS)]
    customer_type: Annotated[str, _choice(rules.CUSTOMER_TYPES)] = rules.REGULAR
    order_type: Annotated[str, _choice(rules.ORDER_TYPES)] = rules.TAKEOUT
    table_number: Annotated[int | None, nullable(_TABLE)] = Field(
        None, description="required for dine-in, left out otherwise"
    )
    delivery_address: Annotated[str | None, nullable(_ADDRESS)] = Field(
        None, description="required for delivery, left out otherwise; a letter and a digit at least"
    )
    rush: bool = False
    priority: Annotated[int | None, nullable(_PRIORITY)] = Field(
        None, description="overrides the rules"
    )


def parse_order(document: object, *, prices_needed: bool = True) -> OrderDraft:
    """Make a draft of a JSON document that keeps every rule.

    prices_needed: whether each item has to have a price. Without it, items may have None.
    Raises InvalidOrder with one entry for each bad field, whatever the document is.
    """
    try:
        request = OrderRequest.model_validate(_limit_unknown(document))
    except ValidationError as error:
        raise InvalidOrder(_all_errors(document, error)) from None
    items = tuple(OrderItem(**vars(item)) for item in request.items)
    draft = OrderDraft(**{**vars(request), "items": items})
    errors = rules.validate(draft)
    if prices_needed:
        errors += [
            FieldError(f"items[{index}].price", _MESSAGES["missing"])
            for index, item in enumerate(items)
            if item.price is None
        ]
    if errors:
        raise InvalidOrder(errors)
    return OrderDraft(**{**vars(request), "items": tuple(map(_normalized, request.items))})


def _normalized(item: ItemRequest) -> OrderItem:
    price = None if item.price is None else rules.normalize_price(item.price)
    return OrderItem(**{**vars(item), "price": price})


def _limit_unknown(document: object) -> object:
    """The document without what could only add to a hundred errors: the cost stays small.

    Of each object the first unknown names, MAX_UNKNOWN in the whole document, and of the items one
    more than there may be.
    """
    if not isinstance(document, dict):
        return document
    items = document.get("items")
    objects = [document, *(items if isinstance(items, list) else ())]
    # An order that keeps the rules is shorter than that.
    if len(objects) <= rules.MAX_ITEMS + 1 and (
        sum(len(each) for each in objects if isinstance(each, dict)) <= MAX_UNKNOWN
    ):
        return document
    left = MAX_UNKNOWN

    def known(value: Any, names: Container[str]) -> Any:
        nonlocal left
        if not isinstance(value, dict):
            return value
        found = {}
        for name, each in value.items():
            if name not in names:
                if left == 0:
                    continue
                left -= 1
            found[name] = each
        return found

    found = known(document, OrderRequest.model_fields)
    if isinstance(items, list):
        some = items[: rules.MAX_ITEMS + 1]
        found["items"] = [known(item, ItemRequest.model_fields) for item in some]
    return found


# --- what is wrong, in our words ------------------------------------------------------------------

# By pydantic's types of errors.
MESSAGES = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
}
_MESSAGES = MESSAGES | {
    "extra_forbidden": "is not a field of an order",
    "list_type": "must be a list",
    "too_short": f"must be 1 to {rules.MAX_ITEMS} items",
    "too_long": f"must be 1 to {rules.MAX_ITEMS} items",
}
_FIELD_LENGTH = 100
# As many errors as an answer has (pizza.web.http.problems.MAX_ERRORS).
MAX_UNKNOWN = 100


def _all_errors(document: object, error: ValidationError) -> list[FieldError]:
    """Pydantic's findings, and the domain's about the fields that have the right shape."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    found = {_path(item["loc"]): _message(item) for item in errors}
    if isinstance(document, dict):
        # A field is bad as well when a part of it is.
        bad = {
            _path(item["loc"][:end]) for item in errors for end in range(1, len(item["loc"]) + 1)
        }
        for rule_error in rules.validate(_valid_subset(document)):
            if rule_error.field not in bad:
                found.setdefault(rule_error.field, rule_error.message)
    return [FieldError(field, message) for field, message in found.items()]


def _valid_subset(document: dict[str, Any]) -> OrderDraft:
    """A draft of the fields that have the right type, and of harmless ones for the others."""
    order_type = document.get("order_type", rules.TAKEOUT)
    return OrderDraft(
        customer_name=_text_or(document.get("customer_name"), "somebody"),
        items=tuple(map(_valid_item, _list_or_one(document.get("items")))),
        customer_type=_text_or(document.get("customer_type"), rules.REGULAR),
        # Nothing can be asked of table and address while the type is unknown.
        order_type=_text_or(order_type, "unknown"),
        table_number=_whole_or(document.get("table_number"), None),
        delivery_address=_text_or(document.get("delivery_address"), None),
        priority=_whole_or(document.get("priority"), None),
    )


def _valid_item(item: Any) -> OrderItem:
    fields = item if isinstance(item, dict) else {}
    price = fields.get("price")
    return OrderItem(
        _text_or(fields.get("name"), "something"),
        _whole_or(fields.get("quantity"), 1),
        _number(price) if type(price) in (int, Decimal) else Decimal(0),
    )


def _list_or_one(value: Any) -> list[Any]:
    return value if isinstance(value, list) and len(value) <= rules.MAX_ITEMS else [None]


def _text_or(value: Any, other: Any) -> Any:
    return value if isinstance(value, str) else other


def _whole_or(value: Any, other: Any) -> Any:
    return value if type(value) is int else other


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")[:_FIELD_LENGTH]


def _message(item: ErrorDetails) -> str:
    return _MESSAGES.get(item["type"], item["msg"])
