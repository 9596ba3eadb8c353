package session

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

// Specification constants of chunks (SPEC.md §4.2).
const (
	ContainerSize = 3856

	chunkCount  = 4
	chunkSize   = ContainerSize / chunkCount // 964
	containerID = 16
)

// Implementation constants: they bound what one who knows a bundle can make us
// keep.
const (
	maxPartialContainers = 64
	maxPartialResets     = 2 // of one contact, who repeats the same bytes
	partialContainerAge  = 24 * time.Hour
)

// SplitContainer cuts the container of a request into its four inner blocks.
func SplitContainer(container []byte) ([][]byte, error) {
	return splitContainer(container, InnerRequest)
}

// SplitReset cuts the container of a reset into its four inner blocks.
func SplitReset(container []byte) ([][]byte, error) {
	return splitContainer(container, InnerReset)
}

func splitContainer(container []byte, kind InnerType) ([][]byte, error) {
	if len(container) != ContainerSize {
		return nil, fmt.Errorf("container of %d bytes: %w", len(container), ErrFormat)
	}
	id := sha256.Sum256(container)
	blocks := make([][]byte, chunkCount)
	for i := range blocks {
		b := make([]byte, 0, InnerSize)
		b = append(b, innerVersion, byte(kind), byte(i), chunkCount)
		b = append(b, id[:containerID]...)
		blocks[i] = append(b, container[i*chunkSize:(i+1)*chunkSize]...)
	}
	return blocks, nil
}

// partialContainer is a container of which some chunks are missing.
type partialContainer struct {
	id     [containerID]byte
	since  uint64 // seconds since 1970
	have   byte   // bit i: chunk i
	chunks [chunkCount][]byte
}

// RequestAssembler puts contact requests together, for one queue: at most 64
// incomplete ones, each for at most 24 hours. The zero value is ready.
type RequestAssembler struct {
	partial []partialContainer // oldest first
}

// Add takes an inner block of type InnerRequest and returns the container once
// its four parts are there, else nil. A part that is there already changes
// nothing. ErrFormat for a malformed block, ErrAuth if the parts do not hash to
// their common id: they are dropped. When full, the oldest incomplete container
// gives way.
func (a *RequestAssembler) Add(now time.Time, inner []byte) (container []byte, err error) {
	return a.add(now, inner, InnerRequest, maxPartialContainers)
}

// AddReset is Add for inner blocks of type InnerReset, which come from one
// contact: at most two containers are incomplete. An assembler serves requests
// or resets, never both.
func (a *RequestAssembler) AddReset(now time.Time, inner []byte) (container []byte, err error) {
	return a.add(now, inner, InnerReset, maxPartialResets)
}

func (a *RequestAssembler) add(now time.Time, inner []byte, kind InnerType, limit int) (container []byte, err error) {
	t, err := ParseInner(inner)
	if err != nil {
		return nil, err
	}
	if t != kind {
		return nil, fmt.Errorf("not a block of this kind of container: %w", ErrFormat)
	}
	a.expire(now)
	id := [containerID]byte(inner[prefixSize:])
	at := a.find(id)
	if at < 0 {
		if len(a.partial) >= limit {
			a.partial = a.partial[1:]
		}
		a.partial = append(a.partial, partialContainer{id: id, since: unixSeconds(now)})
		at = len(a.partial) - 1
	}
	p := &a.partial[at]
	i := inner[2]
	if p.have&(1<<i) == 0 {
		p.have |= 1 << i
		p.chunks[i] = append([]byte(nil), inner[prefixSize+containerID:]...)
	}
	if p.have != 1<<chunkCount-1 {
		return nil, nil
	}
	for _, c := range p.chunks {
		container = append(container, c...)
	}
	a.partial = append(a.partial[:at:at], a.partial[at+1:]...)
	sum := sha256.Sum256(container)
	if subtle.ConstantTimeCompare(sum[:containerID], id[:]) != 1 {
		return nil, fmt.Errorf("container id: %w", ErrAuth)
	}
	return container, nil
}

func (a *RequestAssembler) find(id [containerID]byte) int {
	for i := range a.partial {
		if a.partial[i].id == id {
			return i
		}
	}
	return -1
}

func (a *RequestAssembler) expire(now time.Time) {
	oldest := unixSeconds(now.Add(-partialContainerAge))
	var kept []partialContainer
	for _, p := range a.partial {
		if p.since > oldest {
			kept = append(kept, p)
		}
	}
	a.partial = kept
}

const assemblerVersion = 1

// Append appends the serialised assembler, to be kept over a restart: its
// blocks may be gone from the relay.
func (a *RequestAssembler) Append(b []byte) []byte {
	b = append(b, assemblerVersion, byte(len(a.partial)))
	for _, p := range a.partial {
		b = append(b, p.id[:]...)
		b = binary.BigEndian.AppendUint64(b, p.since)
		b = append(b, p.have)
		for _, c := range p.chunks {
			b = append(b, c...)
		}
	}
	return b
}

// ParseRequestAssembler parses what Append wrote.
func ParseRequestAssembler(b []byte) (*RequestAssembler, error) {
	r := reader{b: b}
	if r.byte() != assemblerVersion {
		r.fail()
	}
	n := int(r.byte())
	if n > maxPartialContainers {
		r.fail()
	}
	a := &RequestAssembler{}
	for range n {
		if r.bad {
			break
		}
		var p partialContainer
		copy(p.id[:], r.bytes(containerID))
		p.since = r.uint64()
		p.have = r.byte()
		if p.have == 0 || p.have >= 1<<chunkCount-1 || a.find(p.id) >= 0 {
			r.fail()
		}
		for i := range p.chunks {
			if p.have&(1<<i) != 0 {
				p.chunks[i] = append([]byte(nil), r.bytes(chunkSize)...)
			}
		}
		a.partial = append(a.partial, p)
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("parse request assembler: %w", err)
	}
	return a, nil
}

// unixSeconds clamps times before 1970, which no snapshot has, to zero.
func unixSeconds(t time.Time) uint64 { return uint64(max(t.Unix(), 0)) }

// unixDay returns the number of the UTC day since 1970.
func unixDay(t time.Time) uint32 { return uint32(unixSeconds(t) / 86400) }
