package directory

import "strings"

// relayWords are the 256 words that relays are called by on screens, one for
// each value of a byte. Order matters: it is part of how people know a relay.
var relayWords = strings.Fields(`
	acorn alder amber anchor apple arrow aspen autumn
	badger bamboo barley basil basin basket beach beacon
	beaver bell berry birch bison blanket blossom bonfire
	bottle bramble bread breeze brick bridge bronze brook
	bucket butter button cabin cactus camel candle canoe
	canyon carrot castle cedar cherry chestnut chimney cinder
	clay cliff cloud clover cobalt comet compass copper
	coral cotton crane cricket crocus crow crystal curlew
	cypress daisy dawn delta desert dolphin dove dragon
	drum dune eagle ebony echo elder elk elm
	ember falcon feather fennel fern ferry fiddle field
	finch fir flame flint flute forest fossil fountain
	fox frost garden garnet geyser ginger glacier glove
	goose granite grape grass gravel grove gull hammer
	harbor harp harvest hawk hazel heather hedge heron
	hill hollow honey horse icicle indigo iris iron
	island ivory ivy jade jasmine jasper jewel juniper
	kelp kettle kite ladder lagoon lake lantern larch
	lark laurel lava lemon lichen lilac lily linen
	lotus lynx magnet magpie mango mantle maple marble
	marsh meadow melon mint mirror mist moon moss
	moth mountain mulberry nectar needle nest nettle nutmeg
	oak ocean olive opal orchard orchid osprey otter
	owl oyster paddle palm panther paper parrot pebble
	pelican pepper petal pigeon pine planet plum pond
	poplar poppy prairie prism puffin quail quartz quill
	quilt rabbit rain raven reed ribbon ridge river
	robin rocket root rose ruby saffron sage salmon
	sand sapling satin shell shore silver sparrow spruce
	star stone stork stream sugar summit swallow swan
	teal thistle thunder tiger timber topaz trout tulip
	tundra turtle valley velvet violet walnut willow winter
`)

// RelayNames returns a word for each relay, drawn from its id, so that people
// need not read 52 characters. Relays whose first words are equal get two
// words, and those whose two are equal as well get as many as they need. Names
// are for screens alone: they are no identifiers.
func RelayNames(ids []RelayID) map[RelayID]string {
	names := make(map[RelayID]string, len(ids))
	pending := ids
	for n := 1; n <= len(RelayID{}) && len(pending) > 0; n++ {
		count := make(map[string]int, len(pending))
		for _, id := range pending {
			names[id] = relayName(id, n)
			count[names[id]]++
		}
		var next []RelayID
		for _, id := range pending {
			if count[names[id]] > 1 {
				next = append(next, id)
			}
		}
		pending = next
	}
	return names
}

func relayName(id RelayID, words int) string {
	w := make([]string, words)
	for i := range w {
		w[i] = relayWords[id[i]]
	}
	return strings.Join(w, "-")
}
