package session

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Specification constants of rosters (SPEC.md §6.7).
const (
	MaxGroupMembers = 32 // oneself included
	MaxGroupName    = 64 // bytes

	maxRosterOps = MaxOpsPerFrame
)

// RosterKind says what an operation does to a roster.
type RosterKind byte

// The kinds of operations (SPEC.md §6.7).
const (
	RosterCreate RosterKind = 1 // the first one, and no other
	RosterAdd    RosterKind = 2
	RosterRemove RosterKind = 3
	RosterLeft   RosterKind = 4 // the member said that it leaves
	RosterRename RosterKind = 5
	RosterAdmin  RosterKind = 6 // the member is the admin from now on
)

// RosterOp is one operation of a roster. Fields are set as the kind asks. It
// does not say by whom: the admin of the roster that it changes.
type RosterOp struct {
	Kind    RosterKind
	Group   GroupID    // RosterCreate
	Members []MemberID // RosterCreate: 1 to 32, the admin first
	Member  MemberID   // RosterAdd, RosterRemove, RosterLeft, RosterAdmin
	Name    string     // RosterCreate, RosterRename: UTF-8, 1 to 64 bytes; not sanitised
}

// Append appends op, which must be one that ParseRosterOp accepts.
func (op RosterOp) Append(b []byte) []byte {
	b = append(b, byte(op.Kind))
	switch op.Kind {
	case RosterCreate:
		b = append(b, op.Group[:]...)
		b = append(b, byte(len(op.Members)))
		for _, m := range op.Members {
			b = append(b, m[:]...)
		}
		b = append(append(b, byte(len(op.Name))), op.Name...)
	case RosterRename:
		b = append(append(b, byte(len(op.Name))), op.Name...)
	default:
		b = append(b, op.Member[:]...)
	}
	return b
}

// ParseRosterOp parses one operation; ErrFormat if anything is wrong. Whether it
// fits a roster is Roster's matter.
func ParseRosterOp(b []byte) (RosterOp, error) {
	var op RosterOp
	r := reader{b: b}
	op.Kind = RosterKind(r.byte())
	switch op.Kind {
	case RosterCreate:
		op.Group = GroupID(r.bytes(16))
		n := int(r.byte())
		if op.Group == (GroupID{}) || n == 0 || n > MaxGroupMembers {
			r.fail()
		}
		for i := 0; i < n && !r.bad; i++ {
			m := MemberID(r.bytes(16))
			if m == (MemberID{}) || slices.Contains(op.Members, m) {
				r.fail()
			}
			op.Members = append(op.Members, m)
		}
		op.Name = r.groupName()
	case RosterRename:
		op.Name = r.groupName()
	case RosterAdd, RosterRemove, RosterLeft, RosterAdmin:
		if op.Member = MemberID(r.bytes(16)); op.Member == (MemberID{}) {
			r.fail()
		}
	default:
		r.fail()
	}
	if err := r.done(); err != nil {
		return RosterOp{}, fmt.Errorf("parse roster operation: %w", err)
	}
	return op, nil
}

func (r *reader) groupName() string {
	n := int(r.byte())
	name := r.bytes(n)
	if n == 0 || n > MaxGroupName || !utf8.Valid(name) {
		r.fail()
	}
	return string(name)
}

// Roster is who belongs to a group, as the chain of operations says: the hash of
// each covers all before it, so two rosters of equal hash are equal. It has one
// admin at a time. The zero value is the roster before its first operation.
type Roster struct {
	Group   GroupID
	Name    string
	Members []MemberID // in the order of joining
	Admin   MemberID
	Former  []MemberID // removed or left; an id never comes back

	ops    [][]byte
	hashes [][32]byte
}

// Epoch counts the operations.
func (r *Roster) Epoch() uint32 { return uint32(len(r.ops)) }

// Hash returns the hash after the first epoch operations, zero for epoch 0 and
// beyond the last.
func (r *Roster) Hash(epoch uint32) (sum [32]byte) {
	if epoch == 0 || int(epoch) > len(r.hashes) {
		return sum
	}
	return r.hashes[epoch-1]
}

// Ops returns the encoded operations above an epoch. They are not to be changed.
func (r *Roster) Ops(above uint32) [][]byte {
	return r.ops[min(int(above), len(r.ops)):]
}

// Next is the hash that the roster would have after one more operation.
func (r *Roster) Next(op []byte) [32]byte { return rosterHash(r.Hash(r.Epoch()), op) }

// HashAt is the hash that the first epoch-1 operations and then op would have;
// epoch is at least 1 and at most one above Epoch.
func (r *Roster) HashAt(epoch uint32, op []byte) [32]byte { return rosterHash(r.Hash(epoch-1), op) }

func rosterHash(before [32]byte, op []byte) [32]byte { return hash(labelRoster, before[:], op) }

// Has tells whether a member belongs to the group now.
func (r *Roster) Has(m MemberID) bool { return slices.Contains(r.Members, m) }

// Apply adds an operation. ErrFormat if it is malformed or does not fit: a
// second create, an unknown or a known member, the admin's own removal. ErrLimit
// beyond 32 members or 512 operations. An error changes nothing.
func (r *Roster) Apply(raw []byte) error {
	op, err := ParseRosterOp(raw)
	if err != nil {
		return err
	}
	if (op.Kind == RosterCreate) != (len(r.ops) == 0) {
		return fmt.Errorf("roster: create is the first operation and no other: %w", ErrFormat)
	}
	if len(r.ops) >= maxRosterOps || op.Kind == RosterAdd && len(r.Members) >= MaxGroupMembers {
		return fmt.Errorf("roster: %w", ErrLimit)
	}
	at := slices.Index(r.Members, op.Member)
	switch op.Kind {
	case RosterAdd:
		if at >= 0 || slices.Contains(r.Former, op.Member) {
			return fmt.Errorf("roster: a member comes back: %w", ErrFormat)
		}
	case RosterRemove, RosterLeft:
		if at < 0 || op.Member == r.Admin {
			return fmt.Errorf("roster: who is to go is no member or the admin: %w", ErrFormat)
		}
	case RosterAdmin:
		if at < 0 || op.Member == r.Admin {
			return fmt.Errorf("roster: the new admin is no other member: %w", ErrFormat)
		}
	}
	sum := r.Next(raw)
	switch op.Kind {
	case RosterCreate:
		r.Group, r.Name, r.Members, r.Admin = op.Group, op.Name, op.Members, op.Members[0]
	case RosterAdd:
		r.Members = append(slices.Clip(r.Members), op.Member)
	case RosterRemove, RosterLeft:
		r.Members = slices.Delete(slices.Clone(r.Members), at, at+1)
		r.Former = append(slices.Clip(r.Former), op.Member)
	case RosterRename:
		r.Name = op.Name
	case RosterAdmin:
		r.Admin = op.Member
	}
	r.ops = append(r.ops, slices.Clone(raw))
	r.hashes = append(r.hashes, sum)
	return nil
}

// Append appends the operations, each behind its length; ParseRoster reads them.
func (r *Roster) Append(b []byte) []byte {
	for _, op := range r.ops {
		b = binary.BigEndian.AppendUint16(b, uint16(len(op)))
		b = append(b, op...)
	}
	return b
}

// ParseRoster replays what Append wrote; no bytes are an empty roster.
func ParseRoster(b []byte) (*Roster, error) {
	ro := &Roster{}
	r := reader{b: b}
	for len(r.b) > 0 {
		op := r.bytes(int(r.uint16()))
		if r.bad {
			return nil, fmt.Errorf("parse roster: %w", ErrFormat)
		}
		if err := ro.Apply(op); err != nil {
			return nil, err
		}
	}
	return ro, nil
}
