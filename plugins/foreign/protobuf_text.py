"""Reads protobuf's text form (`.prototxt`, `.pbtxt`) by the same table of fields as its binary form.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/. Extensions and `Any` in brackets are refused. A field
that the table does not name is read over, since every fork of Caffe has fields of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from zoo_plugins.foreign.protobuf_wire import Message, Schema

from zoo.errors import UserError

_TOKEN = re.compile(
    r"""[\s]+|\#[^\n]*|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<word>[\w.+-]+)|(?P<mark>[{}<>:\[\],;])"""
)
_CLOSERS = {"{": "}", "<": ">"}
_FLOAT_SUFFIX = re.compile(r"(?<=[\d.])[fF]$")
_DEEPEST = 50
_WORDS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def parse_file(path: Path, *, schema: Schema, kind: str) -> Message:
    """The message that a text file holds.

    Args:
        path: The file, UTF-8.
        schema: The fields to read.
        kind: The message's name in the schema.

    Raises:
        UserError: The file cannot be read, is no protobuf text, or a field has the wrong form; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"this file cannot be read as text: {error}", where=str(path)) from error
    return parse(text, schema=schema, kind=kind, where=str(path))


def parse(text: str, *, schema: Schema, kind: str, where: str) -> Message:
    """The message that a text holds; arguments and errors are those of `parse_file`."""
    reader = _Reader(text, schema, where)
    return reader.message(kind, closer="", depth=0)


class _Reader:
    """Goes through the tokens of one text."""

    def __init__(self, text: str, schema: Schema, where: str) -> None:
        self.schema, self.where = schema, where
        self.tokens = list(self._split(text))
        self.at = 0

    def _split(self, text: str) -> Any:
        at, line = 0, 1
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._error(f"{text[at]!r} begins no name, number or string", line)
            if match.lastgroup:
                yield match.lastgroup, match.group(), line
            line += match.group().count("\n")
            at = match.end()

    def _error(self, why: str, line: int | None = None) -> UserError:
        if line is None:
            line = self.tokens[min(self.at, len(self.tokens)) - 1][2] if self.tokens else 1
        return UserError(f"this is no protobuf text: {why}", where=f"{self.where}, line {line}")

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._error("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1][:2]

    def message(self, kind: str | None, *, closer: str, depth: int) -> Message:
        """Fields up to the closing mark, which is taken too; of an unknown kind they are read over."""
        if depth > _DEEPEST:
            raise self._error(f"messages stand in one another more than {_DEEPEST} deep")
        types = dict(self.schema.messages[kind].values()) if kind else {}
        fields: dict[str, list[Any]] = {}
        while self._peek() != closer:
            form, name = self._next()
            if form != "word":
                raise self._error(f"{name!r} stands where a field's name belongs")
            values = self._field(types.get(name), depth=depth)
            if name in types:
                fields.setdefault(name, []).extend(values)
            if self._peek() in (",", ";"):
                self._next()
        if closer:
            self._next()
        return Message(self.where, fields)

    def _field(self, type_: str | None, *, depth: int) -> list[Any]:
        colon = self._peek() == ":"
        if colon:
            self._next()
        if colon and self._peek() == "[":
            self._next()
            values = []
            while self._peek() != "]":
                values.append(self._value(type_, depth=depth))
                if self._peek() == ",":
                    self._next()
            self._next()
            return values
        if not colon and self._peek() not in _CLOSERS:
            raise self._error("a field's value follows a colon")
        return [self._value(type_, depth=depth)]

    def _value(self, type_: str | None, *, depth: int) -> Any:
        form, text = self._next()
        if text in _CLOSERS:
            if type_ is not None and type_ not in self.schema.messages:
                raise self._error(f"a message stands where a value of type {type_} belongs")
            return self.message(type_, closer=_CLOSERS[text], depth=depth + 1)
        if form == "mark":
            raise self._error(f"{text!r} stands where a value belongs")
        if form == "string":
            text = _unquoted(text)
            while self.at < len(self.tokens) and self.tokens[self.at][0] == "string":
                text += _unquoted(self._next()[1])
        return text if type_ is None else self._typed(text, type_, quoted=form == "string")

    def _typed(self, text: str, type_: str, *, quoted: bool) -> Any:
        try:
            if quoted:
                return {"text": text, "bytes": text.encode("latin-1", "replace")}[type_]
            if type_ in self.schema.enums:
                return self.schema.enums[type_].get(text) if text in self.schema.enums[type_] else int(text)
            if type_ == "bool":
                return _WORDS[text.lower()]
            if type_ == "int":
                return int(text, 0)
            return np.array([float(_FLOAT_SUFFIX.sub("", text))], {"float": np.float32, "double": np.float64}[type_])
        except (KeyError, ValueError) as error:
            raise self._error(f"{text!r} is no value of type {type_}") from error


def _unquoted(token: str) -> str:
    """A string without quotes, its escapes replaced."""
    return token[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
