package directory

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Flags are a relay's flags in a snapshot entry (SPEC.md, entry table).
type Flags uint16

// The flags that signers set.
const (
	FlagGuard      Flags = 1
	FlagStable     Flags = 2
	FlagMailbox    Flags = 4
	FlagPlacement  Flags = 8
	FlagWitness    Flags = 16
	FlagCache      Flags = 32
	FlagVouched    Flags = 64
	FlagMiddleOnly Flags = 128
	FlagUnmeasured Flags = 256
	FlagWatched    Flags = 512
)

// Relay is one listed relay as a verified snapshot states it.
// The slices and arrays of a Relay taken from a View must not be changed.
type Relay struct {
	ID         RelayID
	OnionKey   [32]byte // X25519
	LinkKey    [32]byte // Ed25519 public key of the TLS leaf
	OnionEpoch uint32   // not_before of the onion key, Unix seconds
	Flags      Flags
	Guard      uint64 // weight on the guard wheel, 1/1024 B/s
	Inner      uint64 // weight on the layer-2 and middle wheel
	Mailbox    uint64 // weight on the mailbox wheel
	Family, AS uint16 // 0 = none
	Addrs      []netip.AddrPort
}

// Freshness says what a view may still be used for (SPEC.md, client view).
type Freshness int

// The states of a view by its age.
const (
	Fresh     Freshness = iota // ≤ 3 epochs: all
	Valid                      // ≤ 24 h: all
	Stale                      // 24–72 h: works, no new guards or mailbox placement
	Emergency                  // 72 h–7 d: existing guards after explicit opt-in
	Expired                    // nothing
)

// View is a verified snapshot, ready for choosing relays. It is immutable and
// safe for concurrent use.
type View struct {
	network    NetworkID
	name       string
	lab        bool
	epoch      uint64
	validAfter time.Time
	epochLen   time.Duration
	headerHash [32]byte
	signed     [3]int    // signatures, who may sign, how many must
	byFounders bool      // signed in an emergency
	validUntil time.Time // of a view by founders
	srvs       []SRV     // of the last rounds, rising
	relays     []Relay   // sorted by ID
	byPrefix   map[[16]byte]int
	byLinkKey  map[[32]byte]int
	byAddr     map[netip.AddrPort]int
}

// Network returns the id of the network that the snapshot belongs to.
func (v *View) Network() NetworkID { return v.network }

// Name returns the network's name from the network file.
func (v *View) Name() string { return v.name }

// Lab tells whether this is a lab network, which gives no anonymity.
func (v *View) Lab() bool { return v.lab }

// Epoch returns the epoch number of the snapshot.
func (v *View) Epoch() uint64 { return v.epoch }

// ValidAfter returns the snapshot's own time.
func (v *View) ValidAfter() time.Time { return v.validAfter }

// EpochLength returns the length of the epoch that the snapshot begins.
func (v *View) EpochLength() time.Duration { return v.epochLen }

// ByFounders tells whether founders signed the snapshot in an emergency, because
// the signers are gone: nobody measured what it says. It counts
// until the given time.
func (v *View) ByFounders() (until time.Time, yes bool) { return v.validUntil, v.byFounders }

// Signed tells how many signers signed the snapshot, how many the network file
// names, and how many must sign. With ByFounders, founders are counted. A view
// that nobody signed has zeros.
func (v *View) Signed() (have, of, need int) { return v.signed[0], v.signed[1], v.signed[2] }

// HeaderHash returns the SHA-256 of the signed header.
func (v *View) HeaderHash() [32]byte { return v.headerHash }

// Relays returns all listed relays, sorted by id. The caller must not change it.
func (v *View) Relays() []Relay { return v.relays }

// Relay returns the listed relay with the given identity.
func (v *View) Relay(id RelayID) (*Relay, bool) { return v.at(v.byPrefix, id.Prefix(), &id) }

// ByPrefix returns the listed relay whose identity starts with the 16 bytes.
func (v *View) ByPrefix(p [16]byte) (*Relay, bool) { return v.at(v.byPrefix, p, nil) }

// ByLinkKey returns the listed relay with the given TLS leaf key.
func (v *View) ByLinkKey(k [32]byte) (*Relay, bool) {
	i, ok := v.byLinkKey[k]
	if !ok {
		return nil, false
	}
	return &v.relays[i], true
}

// ByAddr returns the listed relay that advertises the given UDP address.
func (v *View) ByAddr(a netip.AddrPort) (*Relay, bool) {
	i, ok := v.byAddr[a]
	if !ok {
		return nil, false
	}
	return &v.relays[i], true
}

func (v *View) at(m map[[16]byte]int, p [16]byte, id *RelayID) (*Relay, bool) {
	i, ok := m[p]
	if !ok || id != nil && v.relays[i].ID != *id {
		return nil, false
	}
	return &v.relays[i], true
}

// InsecureView makes a view that nobody signed. It serves tests of the layers
// above, which need relays without a directory.
func InsecureView(network NetworkID, lab bool, validAfter time.Time, relays []Relay) *View {
	return newView(View{
		network: network, name: "test", lab: lab, epoch: 1, validAfter: validAfter, epochLen: 10 * time.Second,
		srvs: newSRVState(network, lab, validAfter).Values(),
	}, relays)
}

// InsecureLater is InsecureView for an epoch above 1, so that it takes the place
// of an earlier one.
func InsecureLater(network NetworkID, lab bool, epoch uint64, validAfter time.Time, relays []Relay) *View {
	v := InsecureView(network, lab, validAfter, relays)
	v.epoch = epoch
	return v
}

// newView indexes the relays, which it copies and sorts.
func newView(v View, relays []Relay) *View {
	v.relays = slices.Clone(relays)
	slices.SortFunc(v.relays, func(a, b Relay) int { return slices.Compare(a.ID[:], b.ID[:]) })
	v.byPrefix = make(map[[16]byte]int, len(relays))
	v.byLinkKey = make(map[[32]byte]int, len(relays))
	v.byAddr = make(map[netip.AddrPort]int, len(relays))
	for i := range v.relays {
		r := &v.relays[i]
		v.byPrefix[r.ID.Prefix()] = i
		v.byLinkKey[r.LinkKey] = i
		for _, a := range r.Addrs {
			v.byAddr[a] = i
		}
	}
	return &v
}

// Views holds the newest verified view of a process and what people must know of
// it, and tells its readers when either changes. The zero value holds none. It is safe for concurrent use.
type Views struct {
	mu       sync.Mutex
	view     *View
	warnings []Warning
	changed  chan struct{}
}

// Current returns the newest view, or nil before the first.
func (s *Views) Current() *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// Changed returns a channel that is closed at the next Set or change of warnings.
func (s *Views) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Set replaces the view. It refuses, by returning false, a view of another
// network and one that is not newer than what it holds.
func (s *Views) Set(v *View) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view != nil && (v.network != s.view.network || v.epoch <= s.view.epoch) {
		return false
	}
	s.view = v
	s.tellLocked()
	return true
}

func (s *Views) tellLocked() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
