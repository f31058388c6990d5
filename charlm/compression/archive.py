"""The compressed file: a header, blocks that can each be verified, and a digest of the whole.

    header    "CLZ", version, settings (varint: 2 * lanes + adaptive), first 8 bytes of the model file's checksum
    block     kind, size (varint), length of the code (varint), check of the text, code, check of the file
    end       0, length of the text (varint), digest of the text, check of the file

A kind is CODED (`size` tokens), STORED or DEFLATED (`size` bytes); RESTART is added if the model is reset after the
block. Digests are BLAKE2b-256 of all bytes so far, of the text or of the file. A check is the first 4 bytes of a
digest; the digest at the end is the first 8. The checks of the file cover everything before them, so damage is found
before anything is decoded. A varint has 7 bits a byte, the lowest first, and the highest bit set in all bytes but the
last.
"""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from charlm.compression.blocks import BlockCoder
from charlm.compression.predictor import Predictor
from charlm.errors import ArchiveError

MAGIC, VERSION = b"CLZ", 1
MODEL_BYTES = 8                         # of the model's digest
MAX_LANES = 256
BLOCK = 1 << 17                         # bytes of text in a block: about 32 kB of code
_LANE_BLOCK = 1 << 14                   # bytes of text of a lane, at least
END, CODED, STORED, DEFLATED, RESTART = 0, 1, 2, 3, 4
_CHECK, _DIGEST = 4, 8                  # bytes
_MAX_ESCAPES = 4                        # a block with more than one escape in four tokens is not coded
_SLACK = 64                             # bytes by which a code may be longer than its block


@dataclass(frozen=True)
class Settings:
    """The settings of a compressed file, and the model that it was made with."""

    model: bytes                        # MODEL_BYTES of its digest
    lanes: int = 1
    adaptive: bool = True

    def header(self) -> bytes:
        """Return the header of a file."""
        return MAGIC + bytes([VERSION]) + _varint(2 * self.lanes + self.adaptive) + self.model

    @property
    def block(self) -> int:
        """The bytes of text in a block."""
        return max(BLOCK, self.lanes * _LANE_BLOCK)


@dataclass
class Totals:
    """The sizes of a file that was compressed."""

    text: int = 0                       # bytes
    characters: int = 0                 # a byte that is no UTF-8 counts as one
    code: int = 0                       # bytes


def _varint(value: int) -> bytes:
    """Return a number in 7-bit groups, the lowest first.

    >>> _varint(300)
    b'\\xac\\x02'
    """
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


class _Digests:
    """The digests of text and file so far."""

    def __init__(self) -> None:
        self.text, self.file = hashlib.blake2b(digest_size=32), hashlib.blake2b(digest_size=32)


def split_blocks(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    """Yield blocks of at most `size` bytes, cut between characters, from a `read` that may return fewer than asked."""
    held = b""
    while chunk := read(size - len(held)):
        held += chunk
        if len(held) == size:
            cut = _character_end(held)
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def _character_end(data: bytes) -> int:
    """Return the length without an incomplete character at the end.

    >>> _character_end("né".encode()), _character_end("né".encode()[:-1]), _character_end(b"n\\x80\\x80")
    (3, 1, 3)
    """
    for back in range(1, min(4, len(data))):
        byte = data[-back]
        if byte >= 0xC0:
            return len(data) if back >= 2 + (byte >= 0xE0) + (byte >= 0xF0) else len(data) - back
        if byte < 0x80:
            break
    return len(data)


class Compressor:
    """Makes a compressed file, piece by piece."""

    def __init__(self, predictor: Predictor, settings: Settings):
        self._settings, self._coder, self._digests = settings, BlockCoder(predictor), _Digests()
        self.totals = Totals()

    def pieces(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        """Yield the file of the text that `read` returns."""
        yield self._file(self._settings.header())
        for data in split_blocks(read, self._settings.block):
            yield self._block(data)
        yield self._checked(bytes([END]) + _varint(self.totals.text) + self._digests.text.digest()[:_DIGEST])

    def _checked(self, record: bytes) -> bytes:
        """Return a record followed by the check of the file."""
        return self._file(record) + self._file(self._digests.file.digest()[:_CHECK])

    def _file(self, data: bytes) -> bytes:
        self._digests.file.update(data)
        self.totals.code += len(data)
        return data

    def _block(self, data: bytes) -> bytes:
        self._digests.text.update(data)
        self.totals.text += len(data)
        self.totals.characters += len(data.decode("utf-8", "surrogateescape"))
        kind, size, code = self._code(data)
        return self._checked(bytes([kind]) + _varint(size) + _varint(len(code))
                             + self._digests.text.digest()[:_CHECK] + code)

    def _code(self, data: bytes) -> tuple[int, int, bytes]:
        """Return kind, size and code of a block."""
        spelling = self._coder.predictor.spelling
        spelled = spelling.spell(data)
        exact = spelling.join(spelled.tokens, iter(spelled.escapes.values())) == data
        restart = 0
        if exact and len(spelled.escapes) * _MAX_ESCAPES <= len(spelled.tokens):
            code = self._coder.encode(spelled)
            if len(code) <= len(data):
                return CODED, len(spelled.tokens), code
            self._coder.restart()
            restart = RESTART
        deflated = zlib.compress(data, 9)
        if len(deflated) < len(data):
            return DEFLATED + restart, len(data), deflated
        return STORED + restart, len(data), data


class _Source:
    """The bytes of a compressed file, in order, added to the digest of the file."""

    def __init__(self, read: Callable[[int], bytes], digests: _Digests):
        self._read, self._digests = read, digests

    def take(self, count: int, *, part: str = "it is cut short") -> bytes:
        """Return exactly `count` bytes. Raises ArchiveError at the end of the file."""
        data = b""
        while len(data) < count and (more := self._read(count - len(data))):
            data += more
        if len(data) < count:
            raise ArchiveError(part)
        self._digests.file.update(data)
        return data

    def more(self) -> bool:
        """Return True unless the file has ended."""
        return bool(self._read(1))

    def varint(self, largest: int) -> int:
        """Return a number. Raises ArchiveError if it is larger than `largest`."""
        value = shift = 0
        while True:
            byte, = self.take(1)
            value |= (byte & 0x7F) << shift
            if value > largest or shift > 63:
                raise ArchiveError("it is damaged")
            if byte < 0x80:
                return value
            shift += 7


@dataclass(frozen=True)
class _Block:
    """A block that has passed the check of the file."""

    kind: int
    size: int
    check: bytes                        # of the text
    code: bytes


@dataclass(frozen=True)
class _End:
    """The end of a file that has passed all its checks."""

    length: int                         # of the text
    digest: bytes


class Decompressor:
    """Reads a compressed file. Everything that is wrong with it raises ArchiveError before its text is yielded."""

    def __init__(self, read: Callable[[int], bytes]):
        self._digests = _Digests()
        self._source = _Source(read, self._digests)
        self._length = 0
        self.settings = self._header()

    def _header(self) -> Settings:
        magic = self._source.take(len(MAGIC) + 1, part="not a charlm compressed file")
        if magic[:-1] != MAGIC:
            raise ArchiveError("not a charlm compressed file")
        if magic[-1] != VERSION:
            raise ArchiveError(f"its format is {magic[-1]}, this charlm reads {VERSION}")
        settings = self._source.varint(2 * MAX_LANES + 1)
        if settings < 2:
            raise ArchiveError("it is damaged")
        return Settings(self._source.take(MODEL_BYTES), settings >> 1, bool(settings & 1))

    def check(self) -> None:
        """Verify the file to its end without decoding it."""
        while isinstance(self._record(), _Block):
            pass

    def blocks(self, predictor: Predictor, *, partial: bool = False) -> Iterator[bytes]:
        """Yield the text, block by block.

        A block is decoded only after the next record (a block or the end of the file) has been verified, so damage to a
        file of one block is reported at once. With `partial` it is decoded and yielded in any case.
        """
        coder, record = BlockCoder(predictor), self._record()
        while isinstance(record, _Block):
            try:
                following = self._record()
            except ArchiveError:
                if partial:
                    yield self._text(record, coder)
                raise
            yield self._text(record, coder)
            record = following
        if record != _End(self._length, self._digests.text.digest()[:_DIGEST]):
            raise ArchiveError("it decodes to a different text from the one that was compressed")

    def _record(self) -> _Block | _End:
        """Return the next block or the end. Raises ArchiveError if its check fails or bytes follow the end."""
        source = self._source
        if kind := source.take(1)[0]:
            size, length = (source.varint(self.settings.block + extra) for extra in (0, _SLACK))
            record: _Block | _End = _Block(kind, size, source.take(_CHECK), source.take(length))
        else:
            record = _End(source.varint(1 << 62), source.take(_DIGEST))
        expected = self._digests.file.digest()[:_CHECK]
        if source.take(_CHECK) != expected:
            raise ArchiveError("it is damaged")
        if not kind and source.more():
            raise ArchiveError("there is more after its end")
        return record

    def _text(self, block: _Block, coder: BlockCoder) -> bytes:
        """Return the text of a block."""
        data = _decoded(block.kind & ~RESTART, block.size, block.code, coder)
        if block.kind & RESTART:
            coder.restart()
        self._digests.text.update(data)
        self._length += len(data)
        if self._digests.text.digest()[:_CHECK] != block.check:
            raise ArchiveError("a block decodes to a different text from the one that was compressed")
        return data


def _decoded(kind: int, size: int, code: bytes, coder: BlockCoder) -> bytes:
    if kind == CODED:
        return coder.decode(code, size)
    data = code
    if kind == DEFLATED:
        with contextlib.suppress(zlib.error):
            data = zlib.decompressobj().decompress(code, size + 1)
    if kind not in (STORED, DEFLATED) or len(data) != size:
        raise ArchiveError("it is damaged")
    return data
