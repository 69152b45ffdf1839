"""A node that is told of no network."""

from manager.dispatcher.catalogue import Catalogue
from manager.dispatcher.networks import NodeNetworks
from manager.state.store import Store


def no_networks() -> NodeNetworks:
    """Of an empty state."""
    return NodeNetworks(Catalogue(Store()))
