package path

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of the state (SPEC.md §8).
const (
	stateVersion = 2
	guardSize    = 32 + 4 + 4 + 4 + 2 + 2 + 1
	layer2Size   = 32 + 4
	timesSize    = 1 + 2
	binSize      = 2 + 2
	maxGuards    = 64 // entries; bounds what a file can make us keep
	maxLayer2    = 8
)

// ErrState is wrapped by every error of ParseState.
var ErrState = errors.New("path: malformed state")

// State is what a client remembers between two runs.
type State struct {
	Network directory.NetworkID
	Guards  []Guard  // in order of preference, confirmed ones first; at most 64
	Layer2  []Layer2 // at most 8
	Times   [profiles]Times
}

// Guard is one remembered guard. Times have a resolution of seconds; the zero
// time means never.
type Guard struct {
	ID        directory.RelayID
	Added     time.Time // when it was drawn, randomised into the past
	Confirmed time.Time // when a circuit was first used, randomised likewise
	Unlisted  time.Time // since when snapshots no longer list it as a guard, likewise

	// Circuits past their first hop, for path bias; together below 300.
	Worked, Failed uint16
	Disabled       bool // by path bias: not used any more
}

// Layer2 is one remembered layer-2 guard.
type Layer2 struct {
	ID    directory.RelayID
	Until time.Time // when another one is drawn in its place
}

// Times are how long circuits took in one cover profile.
type Times struct {
	Doubled uint8 // how often the first timeout was doubled, at most twice
	Bins    []Bin // in rising order, with at most 1000 circuits in all
}

// Bin counts circuits whose time fell into the same 10 ms.
type Bin struct {
	At    uint16 // in units of 10 ms; 65535 for those that never ended
	Count uint16 // at least 1
}

// clone returns a state that shares no guards with s.
func (s State) clone() State {
	s.Guards = slices.Clone(s.Guards)
	s.Layer2 = slices.Clone(s.Layer2)
	return s
}

// Append appends the encoded state. It panics if a list is longer than its
// limit: the caller keeps them.
func (s State) Append(b []byte) []byte {
	if len(s.Guards) > maxGuards || len(s.Layer2) > maxLayer2 {
		panic("path: state over its limits")
	}
	b = append(b, stateVersion)
	b = append(b, s.Network[:]...)
	b = append(b, byte(len(s.Guards)))
	for _, g := range s.Guards {
		b = append(b, g.ID[:]...)
		b = appendTime(b, g.Added)
		b = appendTime(b, g.Confirmed)
		b = appendTime(b, g.Unlisted)
		b = binary.BigEndian.AppendUint16(b, g.Worked)
		b = binary.BigEndian.AppendUint16(b, g.Failed)
		b = append(b, boolByte(g.Disabled))
	}
	b = append(b, byte(len(s.Layer2)))
	for _, l := range s.Layer2 {
		b = append(b, l.ID[:]...)
		b = appendTime(b, l.Until)
	}
	for _, t := range s.Times {
		if len(t.Bins) > buildSamples {
			panic("path: state over its limits")
		}
		b = append(b, t.Doubled)
		b = binary.BigEndian.AppendUint16(b, uint16(len(t.Bins)))
		for _, bin := range t.Bins {
			b = binary.BigEndian.AppendUint16(b, bin.At)
			b = binary.BigEndian.AppendUint16(b, bin.Count)
		}
	}
	return b
}

// ParseState decodes a state of version 2, or of version 1 (SPEC.md §8.1). It
// refuses, with ErrState, another version, a list or number over its limit or
// out of order, a relay twice in one list, a missing date, and bytes that are
// missing or left over.
func ParseState(b []byte) (State, error) {
	if len(b) > 0 && b[0] == 1 {
		return parseState1(b)
	}
	r := reader{rest: b}
	if v := r.bytes(1); v == nil || v[0] != stateVersion {
		return State{}, malformed("version")
	}
	var s State
	copy(s.Network[:], r.bytes(len(s.Network)))
	n := r.count(1, maxGuards, guardSize)
	for range n {
		g := Guard{ID: r.id(), Added: r.time(), Confirmed: r.time(), Unlisted: r.time(), Worked: r.uint16(), Failed: r.uint16()}
		disabled := r.byte()
		g.Disabled = disabled == 1
		last := len(s.Guards) - 1
		switch {
		case g.Added.IsZero() || s.guard(g.ID) >= 0 || disabled > 1:
			return State{}, malformed("guard")
		case int(g.Worked)+int(g.Failed) >= biasScale:
			return State{}, malformed("count of circuits")
		case !g.Confirmed.IsZero() && last >= 0 && s.Guards[last].Confirmed.IsZero():
			return State{}, malformed("order of guards")
		}
		s.Guards = append(s.Guards, g)
	}
	n = r.count(1, maxLayer2, layer2Size)
	for range n {
		l := Layer2{ID: r.id(), Until: r.time()}
		if l.Until.IsZero() || s.hasLayer2(l.ID) {
			return State{}, malformed("layer-2 guard")
		}
		s.Layer2 = append(s.Layer2, l)
	}
	for i := range s.Times {
		t, err := r.times()
		if err != nil {
			return State{}, err
		}
		s.Times[i] = t
	}
	if r.short || len(r.rest) != 0 {
		return State{}, malformed("length")
	}
	return s, nil
}

func (r *reader) times() (t Times, err error) {
	t.Doubled = r.byte()
	n := r.count(2, buildSamples, binSize)
	sum := 0
	for i := range n {
		bin := Bin{r.uint16(), r.uint16()}
		if bin.Count == 0 || i > 0 && bin.At <= t.Bins[i-1].At {
			return t, malformed("bin")
		}
		sum += int(bin.Count)
		t.Bins = append(t.Bins, bin)
	}
	if t.Doubled > maxDoublings || sum > buildSamples {
		return t, malformed("build times")
	}
	return t, nil
}

// reader takes fields from the front of an encoded state. When bytes are
// missing it gives zeros and notes that.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.short, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) time() time.Time {
	b := r.bytes(4)
	if b == nil {
		return time.Time{}
	}
	return parseTime(b)
}

func (r *reader) id() (id directory.RelayID) {
	copy(id[:], r.bytes(len(id)))
	return id
}

// count reads the length of a list, of 1 or 2 bytes. A list over its limit or
// longer than what is left counts as missing bytes.
func (r *reader) count(width, most, size int) int {
	n := 0
	for _, b := range r.bytes(width) {
		n = n<<8 | int(b)
	}
	if n > most || n*size > len(r.rest) {
		r.short, r.rest = true, nil
		return 0
	}
	return n
}

// guard returns the index of a guard, or -1.
func (s *State) guard(id directory.RelayID) int {
	for i := range s.Guards {
		if s.Guards[i].ID == id {
			return i
		}
	}
	return -1
}

func (s *State) hasLayer2(id directory.RelayID) bool {
	for i := range s.Layer2 {
		if s.Layer2[i].ID == id {
			return true
		}
	}
	return false
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrState, what) }

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.BigEndian.AppendUint32(b, 0)
	}
	return binary.BigEndian.AppendUint32(b, uint32(t.Unix()))
}

func parseTime(b []byte) time.Time {
	u := binary.BigEndian.Uint32(b)
	if u == 0 {
		return time.Time{}
	}
	return time.Unix(int64(u), 0)
}
