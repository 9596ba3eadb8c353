package session

// sasWords are the words that people compare: 1024 nouns that differ in their
// first four letters. The list is part of the format (SPEC.md §10.2).
const sasWords = `
acorn actor adult agent album alley amber angle ankle apple april apron arch arena armor arrow atlas
attic audio aunt author autumn award axis azure badge bagel baker balcony ball balm bamboo banana
band banjo bank barber barley barn barrel basil basket bath beach beak bean bear beaver bed beetle
bell belt bench berry bicycle birch bird biscuit bishop bison blanket blaze blender block blossom
blouse boat bobbin bonnet book boot border bottle boulder bowl box bracelet branch brass bread
breeze brick bride bronze broom broth brush bubble bucket budget buffalo bugle builder bulb bunker
bus bush butter cabbage cabin cable cactus cage cake calf camel camp canal candle cannon canoe
canvas canyon cape captain caravan carbon card cargo carpet carrot cart cashew castle cat cattle
cave cedar ceiling celery cello cement center chain chalk chapel charcoal cheese cherry chess
chicken chimney chin chip chocolate choir chorus church cider cinema circle citizen citrus city
clarinet clay cliff clinic cloak clock cloth cloud clover clown coach coal coast cobalt cobra cocoa
coffee coin collar comb comet compass concert condor cook copper coral cork corn cosmos cotton couch
cousin cow coyote crab cradle crane crater crayon cream creek crest cricket crocus crown cruise
crystal cube cuckoo cucumber cup cupboard curtain curve cushion cycle cylinder cymbal daisy dancer
dawn deck deer delta dentist depot desert desk diamond diary dice diesel dinner diploma dish diver
dock doctor dolphin domino donkey door dough dove dragon drain drawer dress drill drum duck duke
dungeon dust dynamo eagle ear earth easel east echo eclipse editor egg elbow elephant elevator elk
elm ember emerald emperor enamel engine envelope epoch escort estate evening exhibit eyebrow fabric
factory falcon family fan farm fashion father faucet feast feather fence fern ferry fever fiddle
field fig film finch finger fire fish fjord flag flame flannel flask flint flood fluid flute foam
fog folder forest fork fortress fossil fountain fox frame freckle freezer frog frost fruit fudge
funnel furnace gadget galaxy gallery garage garden garlic garnet gate gazelle gecko gem geyser ghost
giant ginger giraffe glacier glass glove glue goat goblet gold golf gondola goose gorilla grain
granite grape grass gravel grove guitar gulf gutter gymnast habitat hail hairpin hammer hamster hand
harbor harness harp harvest hat hatchet hawk hazel headline heart heater hedge helmet hen herald
herb heron hexagon hill hinge hippo hive hockey honey hood hoof horizon horn horse hospital hotel
hound house hull hunter hurdle hut hyena ibis iceberg icon igloo indigo infant ink inlet insect iris
iron island ivory ivy jacket jaguar jam jar jasmine jaw jazz jeans jelly jersey jewel jigsaw jockey
joker journal judge juice jungle juniper jury kangaroo kayak kennel kernel kerosene kettle keyboard
kidney kilt king kiosk kitchen kite kitten kiwi knee knife knot koala label ladder lady lagoon lake
lamb lamp lantern laptop larch lasso latch laundry lava lavender lawn lawyer leaf leather lecture
ledge lemon lens leopard letter lever library lichen lid lily limb lime linen lion lip liquid lizard
llama lobster locket locust lodge log lotus lumber lunch lung lynx lyric machine magazine magnet
magpie mailbox mammoth mandolin mango mantle manual maple marble march margin marina market marmot
mask mast mattress mayor meadow meatball medal melody menu mercury mermaid metal meteor midnight
milk mill mimosa mineral mint mirror mist mitten model molasses mole monarch monkey moon moose
morning mosaic mosque moss moth motor mountain mouse mouth movie mud muffin mule museum mushroom
music mustard myth napkin narrator navy neck nectar needle neighbor nephew nerve nest net nickel
noodle north nose notebook novel nugget number nurse nut nutmeg nylon oak oar oasis oatmeal oats
obelisk oboe ocean octopus office oil olive omelet onion opal opera orange orbit orchard organ
orient origami osprey ostrich otter ottoman oven owl oxygen oyster ozone package paddle page painter
pajamas palace palm panda panel panther papaya paper parade parcel parent park parrot parsley party
pasta path patio peach peanut pearl pebble pedal pelican pen pencil pendant penguin peninsula pepper
perfume petal phone photo piano pickle picnic pier pigeon pigment pillow pilot pioneer pipe pirate
pistachio pizza planet plaster plate plaza plum plywood pocket poem poet polish pollen pond pony
poppy porch portrait postcard potato pottery powder prairie pretzel prince prism professor propeller
pudding puffin pulley pulp pump puppet purse puzzle pyramid quail quarry queen quill quiver rabbit
raccoon radar radio raft rail rain raisin ranch raspberry raven razor recipe record reef reindeer
reptile resin rhino rhythm ribbon rice ring river road robe robin robot rocket roof rooster root
rope rose rover rowboat rubber ruby rudder rug ruler runner rye saddle safari saffron salad salmon
salon salt sample sand sapphire satellite satin sauce sausage scale scarf school scissors scooter
scorpion scout screen scroll seagull seal seaweed seed sequoia shadow shark shed sheep shelf sheriff
shield ship shirt shoe shop shore shovel shower shrimp shrub sign silk silver singer sink siren
sister skate skeleton skirt sky sled sleeve slipper smile smoke snack snail snake snow soap soccer
sock sofa soil soldier soup south spade sparrow spatula spear sphere spice spider spinach spiral
sponge spoon spring spruce square squid stable stadium staircase stamp star statue steam stereo
stone stool store stove straw stream string student sugar suitcase summer sunset surgeon sushi
swallow swan sweater swing sword sycamore symbol syrup table tailor talon tango tank tape target
tavern taxi tea teacher teapot telescope temple tennis tent terrace theater thimble thistle thorn
thread throne thumb thunder ticket tide tiger tile timber tin toast tomato tongue tooth topaz torch
tornado tortoise toucan towel town tractor trail trap tray treasure tree trellis tribe trombone
trophy trousers truck trumpet trunk tuba tugboat tulip tuna tundra tunnel turban turkey turnip
turquoise turtle tuxedo twig twin typhoon ukulele umbrella uncle unicorn uniform valley valve
vanilla vase vault vegetable velvet vendor veranda vest village vine violet visitor vitamin volcano
voyage vulture waffle wagon waist waiter wallet walnut walrus wardrobe warehouse washer wasp watch
water wave wax weasel weather weaver wedding week well west wheat wheel whisker widow wig willow
wind wine wing winter wire wizard wolf wood wool workshop worm wreath wrench wrist xylophone yacht
yogurt yolk zebra zenith zeppelin zigzag zinc zipper
`
