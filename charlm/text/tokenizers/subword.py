"""BPE and unigram subwords: sentencepiece, set so that decoding is the exact inverse of encoding.

Its defaults fold line ends and tabs, merge spaces, drop long lines, lose rare characters and turn
U+2581 into a space. Here a text is cut at line ends (each a piece of its own) and into stretches of
at most 1,000 characters, U+2581 goes through its three byte pieces, and decoding joins the pieces'
bytes itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

import numpy as np

from charlm.errors import CorpusError, ModelFileError, UsageError
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tokenizers.byte import PieceDecoder, readable

STRETCH = 1000                          # characters: at most 4,000 bytes of UTF-8
SPACE_MARK = "\u2581"                   # sentencepiece's visible space
LEARN_FROM = 10_000_000                 # characters that the vocabulary is learned from
DEFAULT_SIZE = 2048
# Characters that sentencepiece reserves while learning: a stretch holding one would be skipped.
_RESERVED = re.compile("[\0\t\n\u2581\u2585]")


def _stretches(text: str) -> Iterator[str]:
    """The text cut after each newline and every STRETCH characters of a line."""
    for line in text.split(NEWLINE):
        for start in range(0, len(line), STRETCH):
            yield line[start:start + STRETCH]
        yield NEWLINE


def _examples(chunks: Iterable[str]) -> Iterator[str]:
    """What sentencepiece learns from: stretches without the characters that it reserves."""
    left = LEARN_FROM
    for chunk in chunks:
        for stretch in _RESERVED.split(chunk[:left]):
            for start in range(0, len(stretch), STRETCH):
                yield stretch[start:start + STRETCH]
        left -= len(chunk)
        if left <= 0:
            return


class SubwordTokenizer:
    """A sentencepiece model, BPE or unigram (Sennrich 2016; Kudo 2018)."""

    unknown_id = None
    unknown_surprisal = 0.0

    def __init__(self, kind: str, model: bytes):
        from sentencepiece import SentencePieceProcessor
        self.kind = kind
        self._model = model
        self._processor = SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(model)
        self.size = self._processor.GetPieceSize()
        self._pieces = [self._bytes_of(index) for index in range(self.size)]
        self.unsampleable_ids = tuple(i for i, piece in enumerate(self._pieces) if not piece)
        self.start_id = self._processor.PieceToId(NEWLINE)
        self._mark = [self._processor.PieceToId(f"<0x{byte:02X}>")
                      for byte in SPACE_MARK.encode("utf-8")]

    def _bytes_of(self, index: int) -> bytes:
        if self._processor.IsControl(index) or self._processor.IsUnknown(index):
            return b""
        piece = self._processor.IdToPiece(index)
        if self._processor.IsByte(index):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE_MARK, " ").encode("utf-8")

    @classmethod
    def train(cls, kind: str, chunks: Iterable[str], *, vocabulary_size: int | None) -> SubwordTokenizer:
        """Learn pieces from the first ten million characters of the text."""
        from sentencepiece import SentencePieceTrainer
        examples = list(_examples(chunks))
        letters = len(set().union(*examples))
        least = 256 + 2 + letters           # byte pieces, <unk>, newline and every character
        if vocabulary_size is not None and vocabulary_size < least:
            raise UsageError(f"--vocab-size {vocabulary_size} is too small for this text: "
                             f"{letters} characters and 258 fixed pieces need {least}")
        size = vocabulary_size or max(DEFAULT_SIZE, least + 1024)
        while True:
            model = io.BytesIO()
            try:
                SentencePieceTrainer.Train(
                    sentence_iterator=iter(examples), model_writer=model, model_type=kind,
                    vocab_size=size, normalization_rule_name="identity", add_dummy_prefix=False,
                    remove_extra_whitespaces=False, byte_fallback=True, character_coverage=1.0,
                    user_defined_symbols=[NEWLINE], bos_id=-1, eos_id=-1, pad_id=-1, unk_id=0,
                    num_threads=1, minloglevel=3, hard_vocab_limit=vocabulary_size is not None)
                return cls(kind, model.getvalue())
            except (RuntimeError, OSError) as error:
                largest = re.search(r"<= (\d+)", str(error))
                if vocabulary_size is None and size > least:
                    size = min(int(largest[1]) if largest else size, max(least, size * 3 // 4))
                elif largest and vocabulary_size:
                    raise UsageError(f"--vocab-size {vocabulary_size} is more than this text gives: "
                                     f"at most {largest[1]}") from None
                else:
                    raise CorpusError(f"too little text to learn {kind} pieces from; "
                                      "use --tokenizer char or byte") from None

    @classmethod
    def from_tensors(cls, kind: str, tensors: dict[str, np.ndarray]) -> SubwordTokenizer:
        try:
            tokenizer = cls(kind, tensors["tokenizer.sentencepiece"].tobytes())
        except (RuntimeError, OSError, ValueError):
            raise ModelFileError("its sentencepiece model cannot be loaded") from None
        if any(not 0 < index < tokenizer.size for index in (tokenizer.start_id, *tokenizer._mark)):
            raise ModelFileError("its sentencepiece model has no byte or newline pieces")
        return tokenizer

    def tensors(self) -> dict[str, np.ndarray]:
        return {"tokenizer.sentencepiece": np.frombuffer(self._model, np.uint8)}

    def encode(self, text: str) -> np.ndarray:
        ids: list[int] = []
        for stretch in _stretches(text):
            for number, part in enumerate(stretch.split(SPACE_MARK)):
                ids.extend(self._mark if number else ())
                ids.extend(self._processor.EncodeAsIds(part) if part != NEWLINE else [self.start_id])
        return np.array(ids[:-1], np.int32)     # _stretches ends with one newline too many

    def stable_prefix(self, text: str) -> int:
        line = text.rfind(NEWLINE) + 1
        return line + (len(text) - line) // STRETCH * STRETCH

    def display(self, index: int) -> str:
        return readable(self._pieces[index])

    def decoder(self) -> PieceDecoder:
        return PieceDecoder(self._pieces)
