package cell

import "encoding/binary"

// Hello is the body of a LINK_HELLO cell (SPEC.md §6.1). The signature is made
// and checked by the link layer.
type Hello struct {
	Lowest, Highest uint16 // versions spoken
	Role            byte   // 0 client, 1 relay, 2 directory
	Profile         byte   // cover profile of a client, else 0
	Network         [32]byte
	Time            uint64 // Unix seconds; 0 from clients
	Identity        [32]byte
	NotBefore       uint32 // validity of the proof, Unix seconds
	NotAfter        uint32
	Proof           [64]byte // Ed25519
}

const helloSize = 152

// Put writes the hello over the whole body of a cell (BodySize bytes).
func (h Hello) Put(body []byte) {
	clear(body[:BodySize])
	binary.BigEndian.PutUint16(body[0:], h.Lowest)
	binary.BigEndian.PutUint16(body[2:], h.Highest)
	body[4], body[5] = h.Role, h.Profile
	copy(body[8:], h.Network[:])
	binary.BigEndian.PutUint64(body[40:], h.Time)
	copy(body[48:], h.Identity[:])
	binary.BigEndian.PutUint32(body[80:], h.NotBefore)
	binary.BigEndian.PutUint32(body[84:], h.NotAfter)
	copy(body[88:], h.Proof[:])
}

// ParseHello decodes a body of BodySize bytes. It checks roles, profiles and
// zeros: a client has no time, identity or proof, a server has no profile.
func ParseHello(body []byte) (Hello, error) {
	if len(body) != BodySize {
		return Hello{}, malformed("size")
	}
	h := Hello{
		Lowest:    binary.BigEndian.Uint16(body[0:]),
		Highest:   binary.BigEndian.Uint16(body[2:]),
		Role:      body[4],
		Profile:   body[5],
		Network:   [32]byte(body[8:40]),
		Time:      binary.BigEndian.Uint64(body[40:]),
		Identity:  [32]byte(body[48:80]),
		NotBefore: binary.BigEndian.Uint32(body[80:]),
		NotAfter:  binary.BigEndian.Uint32(body[84:]),
		Proof:     [64]byte(body[88:152]),
	}
	switch {
	case body[6]|body[7] != 0 || !isZero(body[helloSize:]):
		return Hello{}, malformed("hello padding")
	case h.Lowest == 0 || h.Lowest > h.Highest:
		return Hello{}, malformed("hello versions")
	case h.Role > 2:
		return Hello{}, malformed("hello role")
	case h.Role == 0 && !isZero(body[40:152]):
		return Hello{}, malformed("client hello with identity")
	case h.Role != 0 && h.Profile != 0 || h.Profile > 3:
		return Hello{}, malformed("hello profile")
	case h.Role != 0 && h.NotAfter < h.NotBefore:
		return Hello{}, malformed("hello proof period")
	}
	return h, nil
}

// What a SHAPE cell asks for (SPEC.md §6.2).
const (
	ShapeSet    = 0 // run the profile from now on
	ShapeBurst  = 1 // let bulk circuits pass the schedule for some seconds
	ShapeWarmUp = 2 // run the rate of the beginning once more
)

// MaxBurst is the longest burst, in seconds.
const MaxBurst = 600

const shapeSize = 4

// Shaping is the body of a SHAPE cell (SPEC.md §6.2).
type Shaping struct {
	Profile byte   // 0 off to 3 fast
	Op      byte   // ShapeSet, ShapeBurst or ShapeWarmUp
	Seconds uint16 // of a burst, at most MaxBurst; else 0
}

// Put writes the order over the whole body of a cell (BodySize bytes).
func (s Shaping) Put(body []byte) {
	clear(body[:BodySize])
	body[0], body[1] = s.Profile, s.Op
	binary.BigEndian.PutUint16(body[2:], s.Seconds)
}

// ParseShaping decodes a body of BodySize bytes. Whether the order may come
// now is for the link layer to say.
func ParseShaping(body []byte) (Shaping, error) {
	if len(body) != BodySize {
		return Shaping{}, malformed("size")
	}
	s := Shaping{Profile: body[0], Op: body[1], Seconds: binary.BigEndian.Uint16(body[2:])}
	switch {
	case !isZero(body[shapeSize:]):
		return Shaping{}, malformed("shape padding")
	case s.Profile > 3:
		return Shaping{}, malformed("shape profile")
	case s.Op > ShapeWarmUp:
		return Shaping{}, malformed("shape op")
	case s.Op != ShapeBurst && s.Seconds != 0 || s.Seconds > MaxBurst:
		return Shaping{}, malformed("shape seconds")
	case s.Op != ShapeSet && s.Profile == 0:
		return Shaping{}, malformed("shape of an unshaped link")
	}
	return s, nil
}
