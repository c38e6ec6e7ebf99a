"""A reader for pickled numpy arrays that can build plain data and call nothing, and a writer that needs no memory.

A pickle is a program: it names functions and calls them. The names that pickled arrays, scalars and dtypes need are
here bound to inert stand-ins, which only collect what they are given; every other name is refused. When the pickle has
been read, the stand-ins are checked and turned into arrays. numpy's own functions are not called by the pickle either,
because they trust the sizes and record layouts that they are told.

What is written are dictionaries of arrays as every numpy since 1.0 reads them, array by array, so that a tree of arrays
can be larger than the memory.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import IO, Any, ClassVar

import numpy as np

__all__ = ["Deferred", "dump_pickled", "load_pickled"]

_MAX_DEPTH = 32
_PLAIN_TYPES = (str, bytes, bool, int, float, complex, np.generic)
# Booleans, integers, floating point and complex numbers, byte and unicode strings, objects; neither records nor dates.
_PLAIN_DTYPE = re.compile(r"[biufcSU]\d{1,9}|O8?|[?bhilqpBHILQPefdgFDG]")


class _Dtype:
    """What a pickle says about a dtype, checked."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise pickle.UnpicklingError(f"a dtype other than numbers, strings and objects ({code!r})")
        self.dtype: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take over the byte order; record layouts are refused."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a dtype with a broken description")
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("a dtype of records")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """What a pickle says about an array, checked."""

    __slots__ = ("_data", "_dtype", "_fortran", "_shape")  # annotations of pictures have millions of small arrays

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = (0,)
        self._fortran = False
        self._data: Any = b""
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __setstate__(self, state: Any) -> None:
        """Take over (version, shape, dtype, Fortran order, data), or the same without the version."""
        if not isinstance(state, tuple) or len(state) not in {4, 5}:
            raise pickle.UnpicklingError("an array with a broken description")
        shape, dtype, fortran, data = state[-4:]
        self._shape, self._dtype = _checked_shape(shape), _checked_dtype(dtype)
        self._fortran = bool(fortran)
        # Python 2 wrote bytes as what Python 3 reads as text.
        self._data = data.encode("latin1") if isinstance(data, str) else data
        expected, size = (list, 1) if self._dtype.hasobject else (bytes | bytearray, self._dtype.itemsize)
        if not isinstance(self._data, expected) or len(self._data) != math.prod(self._shape) * size:
            raise pickle.UnpicklingError(
                f"an array of shape {self._shape} and type {self._dtype} whose data have another size"
            )

    @property
    def size(self) -> int:
        """Bytes that the numbers have in the pickle; objects have one at the least."""
        return len(self._data)

    def build(self, plain: Callable[[Any], Any]) -> np.ndarray[Any, Any]:
        """Make the array; objects in it go through ``plain`` first."""
        order: Any = "F" if self._fortran else "C"
        data, self._data = self._data, None  # only one copy of a large array at a time
        if not self._dtype.hasobject:
            return np.ndarray(self._shape, self._dtype, bytearray(data), order=order)
        flat = np.empty(len(data), dtype=object)
        for i, value in enumerate(data):
            flat[i] = plain(value)
        return flat.reshape(self._shape, order=order)


def _reconstruct(subtype: Any, shape: Any, code: Any) -> _Array:
    """Stand-in for the function that makes an array still to be filled; the real one would allocate the shape."""
    if subtype is not _Array or shape not in ((0,), (0, 0), ()):
        raise pickle.UnpicklingError("an array that is filled before it is described")
    return _Array()


def _scalar(dtype: Any, data: Any = b"") -> Any:
    """Stand-in for the function that makes a numpy scalar."""
    checked = _checked_dtype(dtype)
    content = data.encode("latin1") if isinstance(data, str) else data
    if checked.hasobject or not isinstance(content, bytes) or len(content) != checked.itemsize:
        raise pickle.UnpicklingError(f"a scalar of type {checked} whose data have another size")
    return np.frombuffer(content, checked)[0] if checked.itemsize else checked.type()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """Stand-in for the function by which pickle protocol 5 makes an array."""
    array = _Array()
    array.__setstate__((shape, dtype, order == "F", data))
    return array


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """Stand-in for ``_codecs.encode``, by which pickle protocol 2 stores bytes."""
    if not isinstance(text, str) or encoding not in {"latin1", "latin-1"}:
        raise pickle.UnpicklingError("text in an encoding that pickles do not use")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stand-in for ``bytes()``, by which pickle protocol 2 stores the data of an empty array."""
    return b""


class _Record:
    """What a pickle says about an object of a class that is read as its attributes."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        """Take over the attributes."""
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("a record without attributes")
        self.attributes = state


def _new_record(what: Any, base: Any, state: Any) -> _Record:
    """Stand-in for the function by which pickle protocols 0 and 1 make an object still to be filled."""
    if what is not _RECORD or base is not _OBJECT or state is not None:
        raise pickle.UnpicklingError("an object of an unknown kind")
    return _Record()


def _checked_dtype(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("something else where a dtype belongs")
    return dtype.dtype


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise pickle.UnpicklingError("an array with a broken shape")
    return shape


class _Function:
    """A stand-in that a pickle can call but not change: the attributes of a plain function can be set by a pickle."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Refuse to be changed."""
        raise pickle.UnpicklingError("a change to a function")


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Function(_encode),
    ("builtins", "bytes"): _Function(_no_bytes),
    ("__builtin__", "bytes"): _Function(_no_bytes),
}
_RECORD = _Function(_Record)
_OBJECT = _Function(_no_bytes)  # the class of all objects, of which records of protocols 0 and 1 say that they are some
_RECORD_NAMES: dict[tuple[str, str], Any] = {
    ("copyreg", "_reconstructor"): _Function(_new_record),
    ("copy_reg", "_reconstructor"): _Function(_new_record),
    ("builtins", "object"): _OBJECT,
    ("__builtin__", "object"): _OBJECT,
}
for _core in ("numpy.core", "numpy._core"):  # the names of numpy 1 and numpy 2
    _NAMES[f"{_core}.multiarray", "_reconstruct"] = _Function(_reconstruct)
    _NAMES[f"{_core}.multiarray", "scalar"] = _Function(_scalar)
    _NAMES[f"{_core}.numeric", "_frombuffer"] = _Function(_frombuffer)


# The reader in Python, not its twin in C: that one allocates and clears whatever size a few hostile bytes claim (its
# memo is an array). In data files nearly all bytes belong to few arrays, so the speed is the same.
class _RestrictedUnpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream: IO[bytes], records: Collection[tuple[str, str]]) -> None:
        super().__init__(stream, encoding="latin1")
        self._names = _NAMES | dict.fromkeys(records, _RECORD) | (_RECORD_NAMES if records else {})

    def _load_bytearray8(self) -> None:
        """Read the bytes that are there; Python's own first allocates and clears as many as are claimed."""
        (size,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(self.read(size))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray8

    def _load_newobj(self) -> None:
        """Make a record, the only objects made so; Python's own calls ``__new__`` of whatever is there."""
        arguments, what = self.stack.pop(), self.stack.pop()  # type: ignore[attr-defined]
        if what is not _RECORD or arguments != ():
            raise pickle.UnpicklingError("an object of an unknown kind")
        self.append(_Record())  # type: ignore[attr-defined]

    dispatch[pickle.NEWOBJ[0]] = _load_newobj

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name, or refuse it."""
        try:
            return self._names[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the name {module}.{name}, which could run anything") from None


def load_pickled(stream: IO[bytes], records: Collection[tuple[str, str]] = ()) -> Any:
    """Read a pickled value of numpy arrays and scalars, dictionaries, lists, tuples, strings, numbers and None.

    Args:
        stream: Positioned at the start of the pickle.
        records: Classes by module and name, objects of which become dictionaries of their attributes. Nothing of the
            classes is looked for, imported or run.

    Returns:
        The value. Arrays are writable and own their memory.

    Raises:
        pickle.UnpicklingError: The pickle is broken, names anything else, or is nested more than 32 levels deep.
        Nothing of it was run.
    """
    try:
        start = stream.tell()
        value = _RestrictedUnpickler(stream, records).load()
        return _plain(value, {}, 0, _Budget(stream.tell() - start))
    except (pickle.UnpicklingError, MemoryError):
        raise
    except EOFError as error:
        raise pickle.UnpicklingError("a pickle that is cut") from error
    except Exception as error:  # a broken pickle can raise nearly anything from inside the reader
        raise pickle.UnpicklingError(f"a broken pickle ({type(error).__name__}: {error})") from error


class _Budget:
    """The bytes of a pickle, each of which belongs to one array only; many arrays of the same bytes fill the memory."""

    def __init__(self, size: int) -> None:
        self._left = size

    def spend(self, size: int) -> None:
        """Take the bytes of an array."""
        self._left -= size
        if self._left < 0:
            raise pickle.UnpicklingError("arrays that are larger than the file")


def _plain(value: Any, done: dict[int, Any], depth: int, budget: _Budget) -> Any:
    """Replace the stand-ins in a value; each shared object is visited once, so that a small pickle is a small task."""
    if id(value) in done:
        return done[id(value)]
    if depth > _MAX_DEPTH:
        raise pickle.UnpicklingError(f"values nested more than {_MAX_DEPTH} levels deep")

    def inner(child: Any) -> Any:
        return _plain(child, done, depth + 1, budget)

    result: Any
    if isinstance(value, _Array):
        budget.spend(value.size)
        result = value.build(inner)
    elif isinstance(value, _Record):
        result = inner(value.attributes)
    elif isinstance(value, dict):
        result = {inner(key): inner(child) for key, child in value.items()}
    elif isinstance(value, list):
        result = [inner(child) for child in value]
    elif isinstance(value, tuple):
        result = tuple(inner(child) for child in value)
    elif value is None or isinstance(value, _PLAIN_TYPES):
        return value
    else:
        raise pickle.UnpicklingError(f"a {type(value).__name__.strip('_').lower()} instead of a value")
    done[id(value)] = result
    return result


@dataclass(frozen=True)
class Deferred:
    """A part of what is to be written that is made only when its turn comes, and then forgotten.

    Args:
        function: Makes an array, or lists and dictionaries of arrays; called once, by the writer.
    """

    function: Callable[[], Any]


def dump_pickled(stream: IO[bytes], value: Any) -> None:
    """Write a value as a pickle that every numpy since 1.0 and Python since 3.0 reads.

    numpy 2 moved ``numpy.core`` to ``numpy._core`` and writes the new name, which numpy before 1.26 cannot find; the
    old name is found by all. The bytes of arrays go from their memory to the stream, without a copy. An array that
    occurs twice is written twice.

    Args:
        stream: Where to write.
        value: Arrays, dictionaries, lists and plain values; parts of it may be :class:`Deferred`.

    Raises:
        ValueError: An array of 4 GiB or more, for which this form has no room.
    """
    _StreamingPickler(stream, protocol=3).dump(value)


_MAKE, _MAKE_WHAT = tuple(np.zeros(0).__reduce__())[:2]
"""How numpy pickles an array before it says what is in it: a function and its arguments."""


# The writer in Python: that in C keeps every object that it has written, and makes a copy of an array's bytes first.
# Nearly all bytes belong to few arrays here too.
class _StreamingPickler(pickle._Pickler):
    memo: dict[int, Any]
    write: Callable[[Any], object]

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Write one object."""
        if isinstance(obj, Deferred):
            known = len(self.memo)
            self.save(obj.function())
            while len(self.memo) > known:  # what is remembered is kept in memory
                self.memo.popitem()
        elif type(obj) is np.ndarray and not obj.dtype.hasobject:
            self._save_array(obj)
        else:
            super().save(obj, save_persistent_id)  # type: ignore[misc]

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write the name of a function or class, that of numpy 1 where it has two."""
        module, qualified = obj.__module__ or "", obj.__qualname__ if name is None else name
        if module.startswith("numpy._core."):
            self.write(f"c{module.replace('numpy._core', 'numpy.core')}\n{qualified}\n".encode())
            self.memoize(obj)  # type: ignore[attr-defined]
        else:
            super().save_global(obj, name)  # type: ignore[misc]

    def _save_array(self, array: np.ndarray[Any, Any]) -> None:
        """Write what numpy's own ``__reduce__`` describes, the bytes straight from the array."""
        size = array.nbytes
        if size >= 2**32:
            raise ValueError(f"expected arrays below 4 GiB, found one of {size / 2**30:.1f} GiB")
        fortran = array.flags.fnc
        self.save(_MAKE)
        self.save(_MAKE_WHAT)
        self.write(pickle.REDUCE + pickle.MARK)
        for part in (1, array.shape, array.dtype, fortran):
            self.save(part)
        self.write(pickle.BINBYTES + struct.pack("<I", size))
        flat = np.ascontiguousarray(array.reshape(-1, order="F" if fortran else "C"))
        self.write(flat.view(np.uint8).data)
        self.write(pickle.TUPLE + pickle.BUILD)
