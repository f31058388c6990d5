"""BPE and unigram subwords by sentencepiece, set up so that decoding is the exact inverse of encoding.

By default, sentencepiece folds line ends and tabs, merges spaces, drops long lines, loses rare characters and turns
U+2581 into a space. Here a text is cut after each line end, which is a piece itself, and every 1,000 characters; U+2581
is encoded as its three bytes; and decoding joins the bytes of the pieces.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator

import numpy as np

from charlm.contract import IntArray, Tensors
from charlm.errors import CorpusError, ModelFileError, UsageError
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tokenizers.byte import PieceTokenizer

STRETCH = 1000                          # characters: at most 4,000 bytes of UTF-8
SPACE_MARK = "\u2581"                   # sentencepiece's visible space
LEARN_FROM = 10_000_000                 # characters that the vocabulary is learned from
DEFAULT_SIZE = 2048
# Characters that sentencepiece reserves for training: it would skip a stretch that contains one.
_RESERVED = re.compile("[\0\t\n\u2581\u2585]")


def _stretches(text: str) -> Iterator[str]:
    """Yield the text cut around each newline and every STRETCH characters of a line, then one newline more."""
    for line in text.split(NEWLINE):
        for start in range(0, len(line), STRETCH):
            yield line[start:start + STRETCH]
        yield NEWLINE


def _examples(chunks: Iterable[str]) -> Iterator[str]:
    """Yield what sentencepiece learns from: stretches without the characters that it reserves."""
    left = LEARN_FROM
    for chunk in chunks:
        for stretch in _RESERVED.split(chunk[:left]):
            for start in range(0, len(stretch), STRETCH):
                yield stretch[start:start + STRETCH]
        left -= len(chunk)
        if left <= 0:
            return


class SubwordTokenizer(PieceTokenizer):
    """The common part of the tokenizers that are a sentencepiece model."""

    kind: str
    tensor_shapes = {"tokenizer.sentencepiece": ("U8", 1)}

    def __init__(self, model: bytes):
        from sentencepiece import SentencePieceProcessor
        self._model = model
        self._processor = SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(model)
        self.size = self._processor.GetPieceSize()
        super().__init__([self._bytes_of(index) for index in range(self.size)])
        self.unsampleable_ids = tuple(index for index, piece in enumerate(self._pieces) if not piece)
        self.start_id = self._processor.PieceToId(NEWLINE)
        self._mark = [self._processor.PieceToId(f"<0x{byte:02X}>") for byte in SPACE_MARK.encode("utf-8")]

    def _bytes_of(self, index: int) -> bytes:
        if self._processor.IsControl(index) or self._processor.IsUnknown(index):
            return b""
        piece: str = self._processor.IdToPiece(index)
        if self._processor.IsByte(index):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE_MARK, " ").encode("utf-8")

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> SubwordTokenizer:
        """Learn pieces from the first ten million characters of the text.

        Raises UsageError for a `vocabulary_size` that the text does not allow, CorpusError for too little text.
        """
        examples = list(_examples(chunks))
        letters = len(set().union(*examples))
        smallest = 256 + 2 + letters        # byte pieces, <unk>, newline and every character
        if vocabulary_size is not None and vocabulary_size < smallest:
            raise UsageError(f"--vocab-size {vocabulary_size} is too small for this text: "
                             f"{letters} characters and 258 fixed pieces need {smallest}")
        size = vocabulary_size or max(DEFAULT_SIZE, smallest + 1024)
        while True:
            try:
                return cls(cls._learn(examples, size, exact=vocabulary_size is not None))
            except (RuntimeError, OSError) as error:
                largest = re.search(r"<= (\d+)", str(error))
                if vocabulary_size is None and size > smallest:
                    size = min(int(largest[1]) if largest else size, max(smallest, size * 3 // 4))
                elif largest and vocabulary_size:
                    raise UsageError(f"--vocab-size {vocabulary_size} is too large for this text: "
                                     f"it has at most {largest[1]} pieces") from None
                else:
                    raise CorpusError(f"too little text to learn {cls.kind} pieces from; "
                                      "use --tokenizer char or byte") from None

    @classmethod
    def _learn(cls, examples: list[str], size: int, *, exact: bool) -> bytes:
        """Return a sentencepiece model. Raises RuntimeError or OSError if the size is too large for the text."""
        from sentencepiece import SentencePieceTrainer
        model = io.BytesIO()
        SentencePieceTrainer.Train(
            sentence_iterator=iter(examples), model_writer=model, model_type=cls.kind, vocab_size=size,
            normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
            byte_fallback=True, character_coverage=1.0, user_defined_symbols=[NEWLINE], bos_id=-1, eos_id=-1,
            pad_id=-1, unk_id=0, num_threads=1, minloglevel=3, hard_vocab_limit=exact)
        return model.getvalue()

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> SubwordTokenizer:
        """Rebuild a tokenizer. Raises ModelFileError for anything but a model with byte and newline pieces."""
        try:
            tokenizer = cls(tensors["tokenizer.sentencepiece"].tobytes())
        except (RuntimeError, OSError, ValueError):
            raise ModelFileError("its sentencepiece model cannot be loaded") from None
        if any(not 0 < index < tokenizer.size for index in (tokenizer.start_id, *tokenizer._mark)):
            raise ModelFileError("its sentencepiece model has no byte or newline pieces")
        return tokenizer

    def tensors(self) -> Tensors:
        """Return the serialized sentencepiece model."""
        return {"tokenizer.sentencepiece": np.frombuffer(self._model, np.uint8)}

    def encode(self, text: str) -> IntArray:
        """Return the ids of a text's pieces, int32."""
        ids: list[int] = []
        for stretch in _stretches(text):
            for number, part in enumerate(stretch.split(SPACE_MARK)):
                ids.extend(self._mark if number else ())
                ids.extend(self._processor.EncodeAsIds(part) if part != NEWLINE else [self.start_id])
        return np.array(ids[:-1], np.int32)     # without the newline that _stretches adds

    def stable_prefix(self, text: str) -> int:
        """Return the length of the stretches that are complete."""
        line = text.rfind(NEWLINE) + 1
        return line + (len(text) - line) // STRETCH * STRETCH


class BPETokenizer(SubwordTokenizer):
    """Pieces learned by byte pair encoding (Sennrich, Haddow and Birch 2016)."""

    kind = "bpe"


class UnigramTokenizer(SubwordTokenizer):
    """Pieces learned by a unigram language model (Kudo 2018)."""

    kind = "unigram"
