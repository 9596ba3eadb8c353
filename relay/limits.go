package relay

import "time"

// Specification constants (SPEC.md §4 and §5). Both ends of a circuit rely on
// these.
const (
	// xoffAt and xonAt are the cells buffered on one stream at which its
	// sender is paused and resumed.
	xoffAt = 256
	xonAt  = 64

	// fragmentTimeout is the time from the first to the last fragment of a
	// CREATE, EXTEND or CREATED message: a half message holds memory.
	fragmentTimeout = 15 * time.Second
	// partialTimeout is the time for the rest of a cell that has begun.
	partialTimeout = 5 * time.Second
	// createdTimeout is the time for CREATED after the second fragment of
	// CREATE was handed to the next hop's link.
	createdTimeout = 10 * time.Second
	// openStreamTimeout is the time that the next hop may keep us waiting for
	// a free stream.
	openStreamTimeout = 2 * time.Second
	// idleTimeout and ageTimeout end circuits that nobody uses, and any
	// circuit in the end: clients replace theirs long before.
	idleTimeout = 20 * time.Minute
	ageTimeout  = 80 * time.Minute

	// A circuit may ask for this many PINGs and DROPs; excess destroys it.
	pingRate, pingBurst = 1, 10
	dropRate, dropBurst = 2, 8

	// Echoing is measuring: it may not crowd out traffic. Excess is answered
	// by ECHO_BUSY.
	echoCellRate, echoCellBurst = 1024, 64
	echoCellsPerCircuit         = 8192
	echoCircuits                = 8
	// A quarter of the relay's bandwidth may be echoed, within these bytes per
	// second.
	echoShare           = 4
	echoLeast, echoMost = 512 << 10, 4 << 20

	// streamsPerCircuit bounds the service streams open at once: each may
	// hold a request in memory.
	streamsPerCircuit = 16
)

// Implementation constants: one side's own business.
const (
	// batchCells is how many cells move in one read and one write, and the
	// capacity of a direction's ring.
	batchCells = 32
	// replyCells is the capacity of a circuit's queue of own replies. Its memory
	// is taken for the life of the circuit, 320 bytes.
	replyCells = 28
	// streamsPerLife bounds the ids of ended streams that a circuit remembers.
	streamsPerLife = 512

	// Handshakes: a CREATE is refused if it would wait longer than
	// handshakeMaxDelay, and dropped when it did wait handshakeMaxAge. Both
	// keep a flood from delaying honest clients into their timeouts.
	handshakeMaxDelay = 1750 * time.Millisecond
	handshakeMaxAge   = 5 * time.Second
	// handshakeCost is assumed for a handshake until some were measured.
	handshakeCost = 400 * time.Microsecond

	// A writer blocked longer than this is stalled (SPEC.md §5.2). Towards a
	// client the relay acts first, towards a relay that relay should.
	stallRefuse = 2 * time.Second
	stallClient = 10 * time.Second
	stallRelay  = 15 * time.Second
	// stallHop is added for each hop between this one and the one that would
	// stall first, so that it acts first: no relay shall be blamed for what is
	// behind it.
	stallHop = 2 * time.Second
	// stallChargeEvery is how often a link is charged for stalls at most.
	stallChargeEvery = time.Minute
	janitorEvery     = 250 * time.Millisecond

	// Bytes of cells on links of clients, each way.
	circuitByteRate, circuitByteBurst = 2 << 20, 4 << 20
	linkByteRate, linkByteBurst       = 4 << 20, 16 << 20

	// CREATEs of one link.
	clientCreateRate, clientCreateBurst = 3, 30
	relayCreateRate, relayCreateBurst   = 200, 1000

	// drainNetwork and drainLab bound how long a stopping relay waits for its
	// circuits to end.
	drainNetwork = 30 * time.Second
	drainLab     = 1500 * time.Millisecond
)
