"""Pages of hostile texts."""

from charlm.config import ModelConfig
from charlm.inference.network import Network
from charlm.inference.trace import Tracer
from charlm.reports.page import page
from charlm.reports.page_data import page_data
from charlm.text.tokenizers.registry import train
from tests.helpers.models import random_weights

HOSTILE = ("a</script><!--<script>alert(1)</script>&amp;'\"`${x}\\u2028\n\x1b[31m\u202eمَ日本 \u2028</pre>\n"
           + '"b" (1) ' * 9)


def hostile_page():
    """Return the page of a hostile text by a network with random weights, and the trace that it is of."""
    tokenizer = train("char", [HOSTILE], vocabulary_size=None)
    config = ModelConfig(tokenizer.size, num_layers=2, embedding_size=6, hidden_size=12)
    network = Network(config, random_weights(config))
    trace, = Tracer(network, tokenizer, carry=True, top=10, units=range(24)).score([HOSTILE])
    return page("<b>title</b>", page_data([trace], tokenizer)), trace
