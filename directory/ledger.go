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
	ledgerVersion    = 1
	ledgerHead       = 1 + 8
	ledgerEntrySize  = 144
	tokenUseSize     = 32
	historyHours     = 720
	admissionMemory  = 30 * 24 * time.Hour
	ledgerMemory     = 90 * 24 * time.Hour
	wfuPeriod        = 12 * time.Hour
	maxLedgerEntries = 4 * maxEntries
	maxTokenUses     = 1 << 20
)

// MaxLedger bounds an encoded ledger, in bytes.
const MaxLedger = ledgerHead + 12 + maxLedgerEntries*ledgerEntrySize + maxTokenUses*tokenUseSize

// ErrBadLedger is returned for a stored ledger that does not parse.
var ErrBadLedger = errors.New("directory: ledger is damaged")

// History is what the ledger holds of one relay. Times are Unix seconds, spans
// seconds.
type History struct {
	Key         [16]byte // GossipKey
	FirstListed uint32
	LastListed  uint32
	Listed      uint32 // time spent listed
	WFUUp       uint32 // running time, decayed by 5 % every 12 h
	WFUKnown    uint32 // observed time, decayed likewise
	Run         uint32 // length of the present run; 0: not running
	MTBFSum     uint32 // lengths of ended runs
	HoldUntil   uint32
	MTBFCount   uint16
	Lineage     uint16
	State       byte // 1: listed by the last snapshot
	Score       byte
	Ups         [90]byte // one bit per hour modulo 720: it began to run
}

// tokenUse counts the relays that a token admitted.
type tokenUse struct {
	Nonce   [16]byte
	Expires uint64
	Used    byte
}

// Ledger is the signers' agreed memory of relays. The zero Ledger is that of a
// new network. A Ledger is not changed once made; Judge returns a new one.
type Ledger struct {
	at      uint64 // Unix seconds of the snapshot it belongs to; 0: none
	relays  []History
	tokens  []tokenUse
	byKey   map[[16]byte]int
	byNonce map[[16]byte]int
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

// Hash returns the SHA-256 of the encoding, which the header holds.
func (l *Ledger) Hash() [32]byte { return sha256.Sum256(l.Append(nil)) }

// Append appends the encoding.
func (l *Ledger) Append(b []byte) []byte {
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
	return binary.BigEndian.AppendUint32(b, 0) // vouch budgets
}

func (h *History) append(b []byte) []byte {
	b = append(b, h.Key[:]...)
	for _, v := range []uint32{h.FirstListed, h.LastListed, h.Listed, h.WFUUp, h.WFUKnown, h.Run, h.MTBFSum, h.HoldUntil} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = binary.BigEndian.AppendUint16(b, h.MTBFCount)
	b = binary.BigEndian.AppendUint16(b, h.Lineage)
	b = append(b, h.State, h.Score)
	return append(b, h.Ups[:]...)
}

func parseHistory(b []byte) History {
	h := History{
		Key: [16]byte(b[:16]), MTBFCount: binary.BigEndian.Uint16(b[48:]), Lineage: binary.BigEndian.Uint16(b[50:]),
		State: b[52], Score: b[53], Ups: [90]byte(b[54:144]),
	}
	for i, v := range []*uint32{&h.FirstListed, &h.LastListed, &h.Listed, &h.WFUUp, &h.WFUKnown, &h.Run, &h.MTBFSum, &h.HoldUntil} {
		*v = binary.BigEndian.Uint32(b[16+4*i:])
	}
	return h
}

// ParseLedger reads exactly one ledger.
func ParseLedger(b []byte) (*Ledger, error) {
	fail := func(what string) (*Ledger, error) { return nil, fmt.Errorf("%w: %s", ErrBadLedger, what) }
	if len(b) < ledgerHead+4 || b[0] != ledgerVersion {
		return fail("version")
	}
	l := &Ledger{at: binary.BigEndian.Uint64(b[1:])}
	n := binary.BigEndian.Uint32(b[9:])
	b = b[ledgerHead+4:]
	if n > maxLedgerEntries || uint64(len(b)) < uint64(n)*ledgerEntrySize+4 {
		return fail("relays")
	}
	for range n {
		h := parseHistory(b)
		if k := len(l.relays); k > 0 && bytes.Compare(l.relays[k-1].Key[:], h.Key[:]) >= 0 {
			return fail("order")
		}
		l.relays = append(l.relays, h)
		b = b[ledgerEntrySize:]
	}
	n = binary.BigEndian.Uint32(b)
	b = b[4:]
	if n > maxTokenUses || uint64(len(b)) != uint64(n)*tokenUseSize+4 {
		return fail("tokens")
	}
	for range n {
		t := tokenUse{Nonce: [16]byte(b[:16]), Expires: binary.BigEndian.Uint64(b[16:]), Used: b[24]}
		if k := len(l.tokens); k > 0 && bytes.Compare(l.tokens[k-1].Nonce[:], t.Nonce[:]) >= 0 || [7]byte(b[25:32]) != [7]byte{} {
			return fail("tokens")
		}
		l.tokens = append(l.tokens, t)
		b = b[tokenUseSize:]
	}
	if binary.BigEndian.Uint32(b) != 0 {
		return fail("vouch budgets, which this program does not know")
	}
	l.index()
	return l, nil
}

func (l *Ledger) index() {
	slices.SortFunc(l.relays, func(a, b History) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	slices.SortFunc(l.tokens, func(a, b tokenUse) int { return bytes.Compare(a.Nonce[:], b.Nonce[:]) })
	l.byKey = make(map[[16]byte]int, len(l.relays))
	for i := range l.relays {
		l.byKey[l.relays[i].Key] = i
	}
	l.byNonce = make(map[[16]byte]int, len(l.tokens))
	for i := range l.tokens {
		l.byNonce[l.tokens[i].Nonce] = i
	}
}

// tokenUsed returns how many relays the token has admitted.
func (l *Ledger) tokenUsed(nonce [16]byte) int {
	i, ok := l.byNonce[nonce]
	if !ok {
		return 0
	}
	return int(l.tokens[i].Used)
}

// advance returns the ledger at t, after an epoch in which the relays with the
// keys of running were reached and those of listed are listed. Tokens counts
// what admissions at t used.
func (l *Ledger) advance(lab bool, t time.Time, epoch time.Duration, running, listed map[[16]byte]bool, tokens map[[16]byte]tokenUse) *Ledger {
	n := &Ledger{at: uint64(t.Unix())}
	step := step{lab: lab, now: t, prev: time.Unix(int64(l.at), 0)}
	if l.at != 0 && step.prev.Before(t) {
		// Nothing is known of a time in which no snapshot was made.
		step.elapsed = uint32(min(t.Sub(step.prev), 2*epoch) / time.Second)
	} else {
		step.prev = t
	}
	for _, h := range l.relays {
		step.apply(&h, running[h.Key], listed[h.Key])
		if t.Sub(time.Unix(int64(h.LastListed), 0)) <= Scale(lab, ledgerMemory) {
			n.relays = append(n.relays, h)
		}
	}
	for key := range listed {
		if _, known := l.byKey[key]; !known {
			h := History{Key: key, FirstListed: uint32(t.Unix())}
			step.apply(&h, running[key], true)
			n.relays = append(n.relays, h)
		}
	}
	for _, u := range l.tokens {
		if _, ok := tokens[u.Nonce]; !ok && u.Expires > n.at {
			n.tokens = append(n.tokens, u)
		}
	}
	for _, u := range tokens {
		n.tokens = append(n.tokens, u)
	}
	n.index()
	return n
}

// step is the passage from one snapshot to the next.
type step struct {
	lab       bool
	prev, now time.Time
	elapsed   uint32 // seconds that count
}

func (s step) apply(h *History, running, listed bool) {
	s.forget(h)
	h.WFUKnown = addClamped(h.WFUKnown, s.elapsed)
	switch {
	case running && h.Run == 0:
		h.Run = 1
		bit := s.hour(s.now) % historyHours
		h.Ups[bit/8] |= 1 << (bit % 8)
	case running:
		h.Run = addClamped(h.Run, s.elapsed)
		h.WFUUp = addClamped(h.WFUUp, s.elapsed)
	case h.Run != 0:
		h.MTBFSum = addClamped(h.MTBFSum, h.Run)
		if h.MTBFCount < math.MaxUint16 {
			h.MTBFCount++
		}
		h.Run = 0
	}
	if h.State == 1 && listed {
		h.Listed = addClamped(h.Listed, s.elapsed)
	}
	h.State = 0
	if listed {
		h.State = 1
		h.LastListed = uint32(s.now.Unix())
	}
}

// forget decays the weighted uptime for each 12 h that ended and clears the
// bits of the hours that began.
func (s step) forget(h *History) {
	period := int64(Scale(s.lab, wfuPeriod) / time.Second)
	for n := min(s.now.Unix()/period-s.prev.Unix()/period, 1000); n > 0; n-- {
		h.WFUUp = uint32(uint64(h.WFUUp) * 95 / 100)
		h.WFUKnown = uint32(uint64(h.WFUKnown) * 95 / 100)
	}
	for n := min(s.hour(s.now)-s.hour(s.prev), historyHours); n > 0; n-- {
		bit := (s.hour(s.now) - n + 1) % historyHours
		h.Ups[bit/8] &^= 1 << (bit % 8)
	}
}

func (s step) hour(t time.Time) int64 {
	return t.Unix() / int64(Scale(s.lab, time.Hour)/time.Second)
}

func addClamped(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}
