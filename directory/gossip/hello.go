package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// Role is what a node says it is in HELLO; the values are those of LINK_HELLO.
type Role byte

// The roles. Clients send no HELLO.
const (
	RoleRelay     Role = 1
	RoleDirectory Role = 2
)

const (
	protocol  = 1
	helloSize = 148
)

var errOtherNetwork = errors.New("gossip: the peer belongs to another network")

// hello is the HELLO message (SPEC.md §4), fields in the order of the table.
type hello struct {
	role        Role
	network     directory.NetworkID
	time        time.Time // to the millisecond
	fileVersion uint32
	epoch       uint64 // 0: no snapshot
	headerHash  [32]byte
	logSize     uint64
	logRoot     [32]byte
	count       uint32
	fingerprint fingerprint
}

func (h hello) append(b []byte) []byte {
	b = append(b, protocol, byte(h.role), 0, 0)
	b = append(b, h.network[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.time.UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, h.fileVersion)
	b = binary.BigEndian.AppendUint64(b, h.epoch)
	b = append(b, h.headerHash[:]...)
	b = binary.BigEndian.AppendUint64(b, h.logSize)
	b = append(b, h.logRoot[:]...)
	b = binary.BigEndian.AppendUint32(b, h.count)
	return append(b, h.fingerprint[:]...)
}

func parseHello(b []byte) (hello, error) {
	var h hello
	if len(b) != helloSize {
		return h, errTruncated
	}
	if b[0] != protocol {
		return h, fmt.Errorf("gossip: unknown protocol version %d", b[0])
	}
	h.role = Role(b[1])
	if h.role != RoleRelay && h.role != RoleDirectory || b[2] != 0 || b[3] != 0 {
		return h, errors.New("gossip: malformed HELLO")
	}
	h.network = directory.NetworkID(b[4:36])
	ms := binary.BigEndian.Uint64(b[36:])
	if ms > 1<<53 {
		return h, errors.New("gossip: HELLO time out of range")
	}
	h.time = time.UnixMilli(int64(ms))
	h.fileVersion = binary.BigEndian.Uint32(b[44:])
	h.epoch = binary.BigEndian.Uint64(b[48:])
	h.headerHash = [32]byte(b[56:88])
	h.logSize = binary.BigEndian.Uint64(b[88:])
	h.logRoot = [32]byte(b[96:128])
	h.count = binary.BigEndian.Uint32(b[128:])
	h.fingerprint = fingerprint(b[132:148])
	return h, nil
}
