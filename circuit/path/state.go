package path

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// Specification constants of the state (SPEC.md §8).
const (
	stateVersion = 1
	guardSize    = 32 + 4 + 4 + 4
	layer2Size   = 32 + 4
	maxGuards    = 16 // entries; bounds what a file can make us keep
	maxLayer2    = 8
)

// ErrState is wrapped by every error of ParseState.
var ErrState = errors.New("path: malformed state")

// State is what a client remembers of its guards between two runs.
type State struct {
	Network directory.NetworkID
	Guards  []Guard  // in order of preference, at most 16
	Layer2  []Layer2 // at most 8
}

// Guard is one remembered guard. Times have a resolution of seconds; the zero
// time means never.
type Guard struct {
	ID        directory.RelayID
	Added     time.Time // when it was drawn, randomised into the past
	Confirmed time.Time // when a circuit first worked, randomised likewise
	Unlisted  time.Time // since when snapshots no longer list it as a guard

	// Circuits past their first hop, for path bias; both are halved at times.
	Worked, Failed uint16
	Disabled       bool // by path bias: not used any more
}

// Layer2 is one remembered layer-2 guard.
type Layer2 struct {
	ID    directory.RelayID
	Until time.Time // when another one is drawn in its place
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
	}
	b = append(b, byte(len(s.Layer2)))
	for _, l := range s.Layer2 {
		b = append(b, l.ID[:]...)
		b = appendTime(b, l.Until)
	}
	return b
}

// ParseState decodes a state. It refuses, with ErrState, another version, a
// list over its limit, a relay twice in one list, a missing date, and bytes
// that are missing or left over.
func ParseState(b []byte) (State, error) {
	var s State
	if len(b) < 1+32+1 {
		return State{}, malformed("short")
	}
	if b[0] != stateVersion {
		return State{}, malformed("version")
	}
	copy(s.Network[:], b[1:])
	n := int(b[33])
	b = b[34:]
	if n > maxGuards || len(b) < n*guardSize+1 {
		return State{}, malformed("number of guards")
	}
	for range n {
		g := Guard{
			ID:        directory.RelayID(b[:32]),
			Added:     parseTime(b[32:]),
			Confirmed: parseTime(b[36:]),
			Unlisted:  parseTime(b[40:]),
		}
		b = b[guardSize:]
		if g.Added.IsZero() || s.guard(g.ID) >= 0 {
			return State{}, malformed("guard")
		}
		s.Guards = append(s.Guards, g)
	}
	n = int(b[0])
	b = b[1:]
	if n > maxLayer2 || len(b) != n*layer2Size {
		return State{}, malformed("number of layer-2 guards")
	}
	for range n {
		l := Layer2{ID: directory.RelayID(b[:32]), Until: parseTime(b[32:])}
		b = b[layer2Size:]
		if l.Until.IsZero() || s.hasLayer2(l.ID) {
			return State{}, malformed("layer-2 guard")
		}
		s.Layer2 = append(s.Layer2, l)
	}
	return s, nil
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
