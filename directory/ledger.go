package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Specification constants of the ledger (SPEC.md §15).
const (
	ledgerVersion    = 2
	ledgerHead       = 1 + 8
	ledgerEntrySize  = 144
	tokenUseSize     = 32
	voucherSize      = 48
	arrivalSize      = 36
	historyHours     = 720
	admissionMemory  = 30 * 24 * time.Hour
	ledgerMemory     = 90 * 24 * time.Hour
	voucherMemory    = 90 * 24 * time.Hour
	arrivalMemory    = 31 * 24 * time.Hour
	wfuPeriod        = 12 * time.Hour
	maxLedgerEntries = 4 * maxEntries
	maxTokenUses     = 1 << 20
	maxVouchers      = math.MaxUint16
	maxArrivals      = maxAddrs * maxLedgerEntries
	// VouchesPerPeriod is how many relays a voucher brings in within 90 days.
	VouchesPerPeriod = 3
)

// MaxLedger bounds an encoded ledger, in bytes.
const MaxLedger = ledgerHead + 16 + maxLedgerEntries*ledgerEntrySize + maxTokenUses*tokenUseSize +
	maxVouchers*voucherSize + maxArrivals*arrivalSize

// ErrBadLedger is returned for a stored ledger that does not parse.
var ErrBadLedger = errors.New("directory: ledger is damaged")

// HistoryState is what the ledger holds of a relay's standing, as a sum.
type HistoryState byte

// The states of a relay (SPEC.md §15.1).
const (
	StateListed    HistoryState = 1  // by the ledger's own snapshot
	StatePlacement HistoryState = 2  // in the placement set of the ledger's period
	StateVouched   HistoryState = 4  // it came by a closed list, token or vouch
	StateHeld      HistoryState = 8  // not listed until HoldUntil: ids came too fast
	StateStopped   HistoryState = 16 // gains no age until HoldUntil: it came in a burst
	StateApproved  HistoryState = 32 // signers have looked at its burst
	StateScored    HistoryState = 64 // not listed until HoldUntil: its score
)

// History is what the ledger holds of one relay. Times are Unix seconds, spans
// seconds.
type History struct {
	Key         [16]byte // GossipKey
	FirstListed uint32   // 0: never yet
	LastListed  uint32
	Listed      uint32 // time spent listed and running: the relay's age
	WFUUp       uint32 // running time, decayed by 5 % every 12 h
	WFUKnown    uint32 // observed time, decayed likewise
	Run         uint32 // length of the present run; 0: not running
	MTBFSum     uint32 // lengths of ended runs
	HoldUntil   uint32 // meaning: State
	MTBFCount   uint16
	Lineage     uint16 // number of a voucher or inviter, 0 = none
	State       HistoryState
	Score       byte
	Ups         [90]byte // one bit per hour modulo 720: it began to run
}

// TokenUse counts the relays that a token admitted.
type TokenUse struct {
	Nonce   [16]byte
	Expires uint64 // Unix seconds; forgotten then
	Used    byte
}

// Voucher is a relay by whose age its family vouches for others, or a delegated
// inviter. The relays that it brought in are a lineage.
type Voucher struct {
	Key     [32]byte  // id of the relay, or the inviter's key
	Lineage uint16    // from 1; no two vouchers share one
	Uses    [3]uint32 // Unix seconds of its last vouches, falling; 0 = none
}

// Arrival notes at which address a relay came first: ids that come and go on
// one address leave no other trace. One relay has one arrival for each of its
// addresses.
type Arrival struct {
	Net    [16]byte // IPv4 inside IPv6, or the IPv6 /64
	Key    [8]byte  // first half of the relay's GossipKey
	Time   uint32   // Unix seconds
	Family [8]byte  // first bytes of its family's key, zero = none
}

// Ledger is the signers' agreed memory of relays. The zero Ledger is that of a
// new network. A Ledger is not changed once made; judgement returns a new one.
// It is safe for concurrent use.
type Ledger struct {
	at       uint64 // Unix seconds of the snapshot it belongs to; 0: none
	relays   []History
	tokens   []TokenUse
	vouchers []Voucher
	arrivals []Arrival
	byKey    map[[16]byte]int
	byNonce  map[[16]byte]int
}

// LedgerParts is what a ledger is made of.
type LedgerParts struct {
	Relays   []History
	Tokens   []TokenUse
	Vouchers []Voucher
	Arrivals []Arrival
}

// NewLedger makes the ledger of the snapshot at the given time. It takes over
// the slices and sorts them; no two of a kind may have one key.
func NewLedger(at time.Time, p LedgerParts) *Ledger {
	l := &Ledger{at: uint64(at.Unix()), relays: p.Relays, tokens: p.Tokens, vouchers: p.Vouchers, arrivals: p.Arrivals}
	l.index()
	return l
}

// At returns the time of the snapshot that the ledger belongs to; ok is false
// before the first.
func (l *Ledger) At() (t time.Time, ok bool) { return time.Unix(int64(l.at), 0), l.at != 0 }

// Parts returns what the ledger is made of, each list in the order of the
// encoding. The caller must not change it.
func (l *Ledger) Parts() LedgerParts {
	return LedgerParts{Relays: l.relays, Tokens: l.tokens, Vouchers: l.vouchers, Arrivals: l.arrivals}
}

// Relay returns the history of the relay with the given gossip key.
func (l *Ledger) Relay(key [16]byte) (History, bool) {
	i, ok := l.byKey[key]
	if !ok {
		return History{}, false
	}
	return l.relays[i], true
}

// Admitted tells whether the relay needs no further proof of admission at t: it
// was listed in the last 30 days.
func (l *Ledger) Admitted(key [16]byte, lab bool, t time.Time) bool {
	h, ok := l.Relay(key)
	return ok && h.LastListed != 0 && t.Sub(time.Unix(int64(h.LastListed), 0)) <= Scale(lab, admissionMemory)
}

// TokenUsed returns how many relays the token has admitted.
func (l *Ledger) TokenUsed(nonce [16]byte) int {
	i, ok := l.byNonce[nonce]
	if !ok {
		return 0
	}
	return int(l.tokens[i].Used)
}

// Left returns how many relays the voucher may still bring in at t.
func (v *Voucher) Left(lab bool, t time.Time) int {
	n := VouchesPerPeriod
	for _, u := range v.Uses {
		if u != 0 && t.Sub(time.Unix(int64(u), 0)) < Scale(lab, voucherMemory) {
			n--
		}
	}
	return n
}

// Keep tells whether the ledger at t still holds the relay.
func (h *History) Keep(lab bool, t time.Time) bool {
	return h.LastListed != 0 && t.Sub(time.Unix(int64(h.LastListed), 0)) <= Scale(lab, ledgerMemory) ||
		int64(h.HoldUntil) > t.Unix()
}

// Keep tells whether the ledger at t still holds the arrival.
func (a *Arrival) Keep(lab bool, t time.Time) bool {
	return t.Sub(time.Unix(int64(a.Time), 0)) <= Scale(lab, arrivalMemory)
}

// Hash returns the SHA-256 of the encoding, which the header holds.
func (l *Ledger) Hash() [32]byte { return sha256.Sum256(l.Append(nil)) }

// Append appends the encoding.
func (l *Ledger) Append(b []byte) []byte {
	b = slices.Grow(b, ledgerHead+16+len(l.relays)*ledgerEntrySize+len(l.tokens)*tokenUseSize+len(l.vouchers)*voucherSize+len(l.arrivals)*arrivalSize)
	b = append(b, ledgerVersion)
	b = binary.BigEndian.AppendUint64(b, l.at)
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.relays)))
	for i := range l.relays {
		b = l.relays[i].append(b)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.tokens)))
	for _, t := range l.tokens {
		b = append(b, t.Nonce[:]...)
		b = binary.BigEndian.AppendUint64(b, t.Expires)
		b = append(b, t.Used, 0, 0, 0, 0, 0, 0, 0)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.vouchers)))
	for _, v := range l.vouchers {
		b = append(b, v.Key[:]...)
		b = binary.BigEndian.AppendUint16(b, v.Lineage)
		b = append(b, 0, 0)
		for _, u := range v.Uses {
			b = binary.BigEndian.AppendUint32(b, u)
		}
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.arrivals)))
	for _, a := range l.arrivals {
		b = append(b, a.Net[:]...)
		b = append(b, a.Key[:]...)
		b = binary.BigEndian.AppendUint32(b, a.Time)
		b = append(b, a.Family[:]...)
	}
	return b
}

func (h *History) append(b []byte) []byte {
	b = append(b, h.Key[:]...)
	for _, v := range []uint32{h.FirstListed, h.LastListed, h.Listed, h.WFUUp, h.WFUKnown, h.Run, h.MTBFSum, h.HoldUntil} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = binary.BigEndian.AppendUint16(b, h.MTBFCount)
	b = binary.BigEndian.AppendUint16(b, h.Lineage)
	b = append(b, byte(h.State), h.Score)
	return append(b, h.Ups[:]...)
}

func parseHistory(b []byte) History {
	h := History{
		Key: [16]byte(b[:16]), MTBFCount: binary.BigEndian.Uint16(b[48:]), Lineage: binary.BigEndian.Uint16(b[50:]),
		State: HistoryState(b[52]), Score: b[53], Ups: [90]byte(b[54:144]),
	}
	for i, v := range []*uint32{&h.FirstListed, &h.LastListed, &h.Listed, &h.WFUUp, &h.WFUKnown, &h.Run, &h.MTBFSum, &h.HoldUntil} {
		*v = binary.BigEndian.Uint32(b[16+4*i:])
	}
	return h
}

// ParseLedger reads exactly one ledger.
func ParseLedger(b []byte) (*Ledger, error) {
	if len(b) < ledgerHead || b[0] != ledgerVersion {
		return nil, fmt.Errorf("%w: version", ErrBadLedger)
	}
	l := &Ledger{at: binary.BigEndian.Uint64(b[1:])}
	if l.at > maxUnix {
		return nil, fmt.Errorf("%w: time", ErrBadLedger)
	}
	b = b[ledgerHead:]
	lists := []struct {
		what string
		size int
		most uint32
		read func(b []byte) bool // tells whether the item may stand after those before
	}{
		{"relays", ledgerEntrySize, maxLedgerEntries, l.readHistory},
		{"tokens", tokenUseSize, maxTokenUses, l.readToken},
		{"vouchers", voucherSize, maxVouchers, l.readVoucher},
		{"arrivals", arrivalSize, maxArrivals, l.readArrival},
	}
	for _, list := range lists {
		if len(b) < 4 {
			return nil, fmt.Errorf("%w: truncated", ErrBadLedger)
		}
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		if n > list.most || uint64(len(b)) < uint64(n)*uint64(list.size) {
			return nil, fmt.Errorf("%w: number of %s", ErrBadLedger, list.what)
		}
		for range n {
			if !list.read(b[:list.size]) {
				return nil, fmt.Errorf("%w: %s", ErrBadLedger, list.what)
			}
			b = b[list.size:]
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: trailing bytes", ErrBadLedger)
	}
	l.index()
	return l, nil
}

func (l *Ledger) readHistory(b []byte) bool {
	h := parseHistory(b)
	l.relays = append(l.relays, h)
	k := len(l.relays) - 1
	return k == 0 || bytes.Compare(l.relays[k-1].Key[:], h.Key[:]) < 0
}

func (l *Ledger) readToken(b []byte) bool {
	t := TokenUse{Nonce: [16]byte(b), Expires: binary.BigEndian.Uint64(b[16:]), Used: b[24]}
	l.tokens = append(l.tokens, t)
	k := len(l.tokens) - 1
	return [7]byte(b[25:]) == [7]byte{} && (k == 0 || bytes.Compare(l.tokens[k-1].Nonce[:], t.Nonce[:]) < 0)
}

func (l *Ledger) readVoucher(b []byte) bool {
	v := Voucher{Key: [32]byte(b), Lineage: binary.BigEndian.Uint16(b[32:])}
	for i := range v.Uses {
		v.Uses[i] = binary.BigEndian.Uint32(b[36+4*i:])
	}
	l.vouchers = append(l.vouchers, v)
	k := len(l.vouchers) - 1
	return [2]byte(b[34:]) == [2]byte{} && (k == 0 || compareVouchers(l.vouchers[k-1], v) < 0)
}

func (l *Ledger) readArrival(b []byte) bool {
	a := Arrival{Net: [16]byte(b), Key: [8]byte(b[16:]), Time: binary.BigEndian.Uint32(b[24:]), Family: [8]byte(b[28:])}
	l.arrivals = append(l.arrivals, a)
	k := len(l.arrivals) - 1
	return k == 0 || compareArrivals(l.arrivals[k-1], a) < 0
}

func compareVouchers(a, b Voucher) int { return bytes.Compare(a.Key[:], b.Key[:]) }

func compareArrivals(a, b Arrival) int {
	if c := bytes.Compare(a.Net[:], b.Net[:]); c != 0 {
		return c
	}
	return bytes.Compare(a.Key[:], b.Key[:])
}

func (l *Ledger) index() {
	slices.SortFunc(l.relays, func(a, b History) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	slices.SortFunc(l.tokens, func(a, b TokenUse) int { return bytes.Compare(a.Nonce[:], b.Nonce[:]) })
	slices.SortFunc(l.vouchers, compareVouchers)
	slices.SortFunc(l.arrivals, compareArrivals)
	l.byKey = make(map[[16]byte]int, len(l.relays))
	for i := range l.relays {
		l.byKey[l.relays[i].Key] = i
	}
	l.byNonce = make(map[[16]byte]int, len(l.tokens))
	for i := range l.tokens {
		l.byNonce[l.tokens[i].Nonce] = i
	}
}

// Step is the passage from one snapshot to the next (SPEC.md §15.2).
type Step struct {
	Lab       bool
	Prev, Now time.Time
	Elapsed   uint32 // seconds that count
}

// Step returns the passage to a snapshot at t. The epoch is the length that the
// snapshot before stated: nothing is known of a time in which no snapshot was
// made, so at most two of them count.
func (l *Ledger) Step(lab bool, t time.Time, epoch time.Duration) Step {
	s := Step{Lab: lab, Now: t, Prev: time.Unix(int64(l.at), 0)}
	if l.at != 0 && s.Prev.Before(t) {
		s.Elapsed = uint32(min(t.Sub(s.Prev), 2*epoch) / time.Second)
	} else {
		s.Prev = t
	}
	return s
}

// Run notes whether a relay is running now.
func (s Step) Run(h *History, running bool) {
	s.forget(h)
	if h.FirstListed == 0 && h.Run == 0 && h.WFUKnown == 0 {
		s.Elapsed = 0 // nobody has looked at it before
	}
	h.WFUKnown = addClamped(h.WFUKnown, s.Elapsed)
	switch {
	case running && h.Run == 0:
		h.Run = 1
		bit := s.hour(s.Now) % historyHours
		h.Ups[bit/8] |= 1 << (bit % 8)
	case running:
		h.Run = addClamped(h.Run, s.Elapsed)
		h.WFUUp = addClamped(h.WFUUp, s.Elapsed)
	case h.Run != 0:
		h.MTBFSum = addClamped(h.MTBFSum, h.Run)
		if h.MTBFCount < math.MaxUint16 {
			h.MTBFCount++
		}
		h.Run = 0
	}
}

// Age credits a relay that the snapshot before lists, runs now and would be
// listed again, unless its clock is stopped.
func (s Step) Age(h *History) {
	if h.State&StateListed != 0 && h.State&StateStopped == 0 {
		h.Listed = addClamped(h.Listed, s.Elapsed)
	}
}

// List notes whether the relay is listed now.
func (s Step) List(h *History, listed bool) {
	h.State &^= StateListed
	if listed {
		h.State |= StateListed
		h.LastListed = uint32(s.Now.Unix())
		if h.FirstListed == 0 {
			h.FirstListed = h.LastListed
		}
	}
}

// forget decays the weighted uptime for each 12 h that ended and clears the
// bits of the hours that began.
func (s Step) forget(h *History) {
	period := int64(Scale(s.Lab, wfuPeriod) / time.Second)
	for n := min(s.Now.Unix()/period-s.Prev.Unix()/period, 1000); n > 0; n-- {
		h.WFUUp = uint32(uint64(h.WFUUp) * 95 / 100)
		h.WFUKnown = uint32(uint64(h.WFUKnown) * 95 / 100)
	}
	for n := min(s.hour(s.Now)-s.hour(s.Prev), historyHours); n > 0; n-- {
		bit := (s.hour(s.Now) - n + 1) % historyHours
		h.Ups[bit/8] &^= 1 << (bit % 8)
	}
}

func (s Step) hour(t time.Time) int64 {
	return t.Unix() / int64(Scale(s.Lab, time.Hour)/time.Second)
}

func addClamped(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}
