package session

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields are what a content says, by the names of its table: numbers in decimal,
// bytes in hex, texts as they are.
type fields map[string]string

// tape is the second decoder's hand on a content: it shares nothing with the
// package, and is given up at the first thing that is wrong.
type tape struct {
	b   []byte
	out fields
}

type tornTape struct{}

func (p *tape) need(ok bool) {
	if !ok {
		panic(tornTape{})
	}
}

func (p *tape) cut(n int) []byte {
	p.need(len(p.b) >= n)
	c := p.b[:n]
	p.b = p.b[n:]
	return c
}

func (p *tape) number(n int) uint64 {
	v := uint64(0)
	for _, c := range p.cut(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (p *tape) num(name string, n int) uint64 {
	v := p.number(n)
	p.out[name] = strconv.FormatUint(v, 10)
	return v
}

func (p *tape) raw(name string, n int) string {
	p.out[name] = hex.EncodeToString(p.cut(n))
	return p.out[name]
}

func (p *tape) named(name string, n int) string {
	v := p.raw(name, n)
	p.need(strings.Trim(v, "0") != "")
	return v
}

func (p *tape) zeros(n int) { p.need(len(bytes.Trim(p.cut(n), "\x00")) == 0) }

func (p *tape) rest(name string, least, most int) {
	p.need(len(p.b) >= least && len(p.b) <= most && utf8.Valid(p.b))
	p.out[name] = string(p.cut(len(p.b)))
}

// oracleContent reads a content by the tables of SPEC.md alone; false if it is
// malformed. What it does not check: signatures, and points of a curve but the
// root of an address.
func oracleContent(kind string, b []byte) (out fields, ok bool) {
	read, ok := oracleContents[kind]
	if !ok {
		panic("oracle: " + kind)
	}
	defer func() {
		if r := recover(); r != nil {
			if _, torn := r.(tornTape); !torn {
				panic(r)
			}
			out, ok = nil, false
		}
	}()
	p := &tape{b: b, out: fields{}}
	read(p)
	p.need(len(p.b) == 0)
	return p.out, true
}

var oracleContents = map[string]func(*tape){
	"TEXT":    (*tape).text,
	"EDIT":    func(p *tape) { p.named("target", 16); p.rest("text", 1, 65536) },
	"RETRACT": func(p *tape) { p.named("target", 16) },
	"REACT":   func(p *tape) { p.named("target", 16); p.rest("text", 0, 48) },
	"TIMER": func(p *tape) {
		s := p.num("seconds", 4)
		p.need(s == 0 || s == 86400 || s == 604800 || s == 2419200)
		p.need(p.num("change", 4) > 0)
	},
	"FILE":    (*tape).file,
	"FILECTL": (*tape).fileControl,
	"QADD": func(p *tape) {
		p.need(p.num("slot", 1) < 2)
		p.zeros(3)
		p.num("generation", 4)
		p.need(p.queue("queue"))
	},
	"QUSE":     func(p *tape) { p.need(p.num("slot", 1) < 2); p.zeros(3); p.num("generation", 4) },
	"QBAD":     func(p *tape) { p.need(p.num("slot", 1) < 2); p.num("generation", 4); p.need(p.num("code", 1) == 1) },
	"RESETKEY": func(p *tape) { p.num("key", 4); p.raw("x25519", 32); p.xwing() },
	"SAS":      func(p *tape) { p.raw("value", 32) },
	"GROUP": func(p *tape) {
		p.named("group", 16)
		p.need(p.num("epoch", 4) > 0)
		p.raw("roster", 16)
		p.need(p.num("seq", 8) > 0)
		n := p.number(1)
		p.need(n <= 4)
		var all []string
		for i := range n {
			all = append(all, hex.EncodeToString(p.cut(16)))
			p.need(i == 0 || all[i-1] < all[i])
		}
		p.out["parents"] = strings.Join(all, " ")
		p.text()
	},
	"GROUPOP": (*tape).groupOp,
	"INTRO":   (*tape).intro,
	"ROSTER":  (*tape).rosterOp,
	"BYE":     func(*tape) {},
	"QADDR":   func(p *tape) { p.queue("queue") },
	"BUNDLE": func(p *tape) {
		version, kind := p.number(1), p.number(1)
		p.need(version == 1 && kind == 1)
		p.zeros(2)
		p.raw("network", 32)
		p.raw("IKa", 32)
		p.raw("DHa", 32)
		p.xwing()
		p.queues()
		p.num("day", 4)
		p.raw("salt", 32)
	},
	"ADDRESS": func(p *tape) {
		p.need(p.number(1) == 1 && p.number(1) == 2)
		p.zeros(2)
		p.raw("network", 32)
		p.need(oracleRoot(p.raw("root", 32)))
		p.raw("IKa", 32)
		p.raw("salt", 32)
		p.need(p.num("seq", 4) > 0)
		p.num("day", 4)
		p.need(p.num("work", 1) <= 27)
		p.zeros(3)
		p.raw("DHa", 32)
		p.xwing()
		p.queues()
		p.raw("signature", 64)
	},
	"CORE": func(p *tape) {
		p.need(p.number(1) == 1 && p.number(1) == 2)
		p.zeros(2)
		p.raw("IKb", 32)
		p.raw("EPb", 32)
		p.raw("DHb", 32)
		p.need(reduced(p.raw("KEMb", 1184)))
		p.queues()
		p.num("day", 4)
		p.padded("name", 1, 63)
		p.padded("hello", 2, 510)
		p.zeros(600)
	},
	"RESETCORE": func(p *tape) {
		p.need(p.number(1) == 1 && p.number(1) == 3)
		p.zeros(2)
		p.raw("EP", 32)
		p.raw("DH", 32)
		p.need(reduced(p.raw("KEM", 1184)))
		p.queues()
		p.need(p.num("counter", 8)-1 < 1<<63-1)
		p.need(p.num("generation", 4) < 1<<31)
		p.num("key", 4)
		p.need(p.num("lowest", 8)-1 < 1<<63-1)
		p.zeros(1188)
	},
}

func (p *tape) text() {
	a := p.num("attributes", 1)
	p.need(a < 4)
	if a&1 != 0 {
		p.raw("reply", 16)
	}
	if a&2 != 0 {
		p.need(p.num("timer", 4) > 0)
	}
	p.rest("text", 1, 65536)
}

// queue reads a queue address and tells whether there is one.
func (p *tape) queue(name string) bool {
	if len(p.b) >= 120 && len(bytes.Trim(p.b[:120], "\x00")) == 0 {
		p.cut(120)
		p.out[name] = "none"
		return false
	}
	p.named(name+" relay", 32)
	p.named(name+" SID", 24)
	p.raw(name+" capability", 32)
	p.raw(name+" key", 32)
	return true
}

func (p *tape) queues() {
	p.need(p.queue("queue 0"))
	p.queue("queue 1")
	p.need(p.out["queue 0 relay"] != p.out["queue 1 relay"])
}

func (p *tape) padded(name string, prefix, size int) {
	n := int(p.number(prefix))
	p.need(n <= size && len(p.b) >= size && utf8.Valid(p.b[:n]))
	p.out[name] = string(p.cut(n))
	p.zeros(size - n)
}

// xwing reads an X-Wing key: one of ML-KEM-768, whose coefficients are below
// 3329, and a point.
func (p *tape) xwing() {
	p.need(reduced(p.raw("ML-KEM", 1184)))
	p.raw("X25519 of X-Wing", 32)
}

func reduced(key string) bool {
	b, _ := hex.DecodeString(key)
	for i := 0; i < 1152; i += 3 {
		if uint(b[i])|uint(b[i+1]&15)<<8 >= 3329 || uint(b[i+1]>>4)|uint(b[i+2])<<4 >= 3329 {
			return false
		}
	}
	return true
}

func (p *tape) file() {
	p.need(p.number(1) == 1 && p.number(1) == 0)
	copies, m := p.num("copies", 1), p.number(1)
	p.need(copies >= 1 && copies <= 2 && m >= copies && m <= 8)
	p.raw("file key", 32)
	size := p.num("size", 8)
	p.need(size <= 1<<28)
	p.raw("SHA-256", 32)
	blocks := max(1, (size+1007)/1008)
	for unit := uint64(2); blocks >= 16*unit/2; unit *= 2 { // to four significant bits
		if blocks%unit != 0 {
			blocks += unit - blocks%unit
		}
	}
	p.need(p.num("segments", 4) == (blocks+511)/512)
	p.num("until", 4)
	var all []string
	for range m {
		r := hex.EncodeToString(p.cut(16))
		for _, o := range all {
			p.need(r != o)
		}
		all = append(all, r)
	}
	p.out["relays"] = strings.Join(all, " ")
	n := int(p.number(1))
	p.rest("name", n, n)
}

func (p *tape) fileControl() {
	p.need(p.number(1) == 1)
	op, n := p.num("op", 1), p.number(1)
	p.zeros(1)
	p.raw("file", 16)
	until := p.num("until", 4)
	p.need(op >= 1 && op <= 4 && (op == 2 || until == 0))
	var all []string
	switch op {
	case 1:
		p.need(n >= 1 && n <= 96)
		for range n {
			segment, first, count := p.number(4), p.number(2), p.number(2)
			p.need(count > 0 && first+count <= 512)
			all = append(all, fmt.Sprintf("%d:%d+%d", segment, first, count))
		}
	case 2:
		p.need(n >= 1 && n <= 32)
		for range n {
			segment, count, number := p.number(4), p.number(2), p.number(1)
			p.zeros(1)
			p.need(count > 0 && number >= 2)
			all = append(all, fmt.Sprintf("%d+%d copy %d %x", segment, count, number, p.cut(16)))
		}
	default:
		p.need(n == 0)
	}
	p.out["entries"] = strings.Join(all, ", ")
}

func (p *tape) groupOp() {
	p.named("group", 16)
	form := p.num("form", 1)
	p.zeros(3)
	switch form {
	case 1:
		p.need(p.num("epoch", 4) > 0)
		p.named("receiver", 16)
		n := p.number(2)
		p.need(n >= 1 && n <= 512)
		var all []string
		for range n {
			op := p.cut(int(p.number(2)))
			inner := &tape{b: op, out: fields{}}
			inner.rosterOp()
			p.need(len(inner.b) == 0)
			all = append(all, hex.EncodeToString(op))
		}
		p.out["operations"] = strings.Join(all, " ")
	case 2:
	case 3:
		p.num("epoch", 4)
	case 4:
		p.named("member", 16)
		p.raw("nonce", 16)
	default:
		p.need(false)
	}
}

func (p *tape) intro() {
	p.named("group", 16)
	form := p.num("form", 1)
	p.zeros(3)
	p.need(p.named("from", 16) != p.named("to", 16))
	p.raw("nonce", 16)
	switch form {
	case 1:
		p.raw("tags", 64*8)
	case 2:
		p.out["link"] = string(p.cut(125))
	default:
		p.need(false)
	}
}

func (p *tape) rosterOp() {
	name := func() {
		n := int(p.number(1))
		p.need(n >= 1 && n <= 64)
		p.rest("name", n, n)
	}
	switch p.num("kind", 1) {
	case 1:
		p.named("group", 16)
		n := p.number(1)
		p.need(n >= 1 && n <= 32)
		var all []string
		for range n {
			m := hex.EncodeToString(p.cut(16))
			p.need(m != strings.Repeat("0", 32))
			for _, o := range all {
				p.need(m != o)
			}
			all = append(all, m)
		}
		p.out["members"] = strings.Join(all, " ")
		name()
	case 5:
		name()
	case 2, 3, 4, 6:
		p.named("member", 16)
	default:
		p.need(false)
	}
}

// oracleRoot tells whether an encoding is the only one of a point of prime order
// of the Ed25519 curve, by arithmetic of schoolbooks.
func oracleRoot(s string) bool {
	b, _ := hex.DecodeString(s)
	q := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	order, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	order.Add(order, new(big.Int).Lsh(big.NewInt(1), 252))
	mod := func(v *big.Int) *big.Int { return v.Mod(v, q) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	inverse := func(a *big.Int) *big.Int { return new(big.Int).ModInverse(a, q) }
	one := big.NewInt(1)
	d := mod(mul(big.NewInt(-121665), inverse(big.NewInt(121666))))

	little := make([]byte, 32)
	for i := range b {
		little[31-i] = b[i]
	}
	negative := little[0]>>7 == 1
	little[0] &= 0x7f
	y := new(big.Int).SetBytes(little)
	if y.Cmp(q) >= 0 {
		return false
	}
	yy := mul(y, y)
	x := new(big.Int).ModSqrt(mul(mod(new(big.Int).Sub(yy, one)), inverse(mod(new(big.Int).Add(mul(d, yy), one)))), q)
	if x == nil || x.Sign() == 0 {
		return false // not on the curve, or of order 1 or 2
	}
	if (x.Bit(0) == 1) != negative {
		x.Sub(q, x)
	}
	add := func(x1, y1, x2, y2 *big.Int) (*big.Int, *big.Int) {
		e := mul(d, mul(mul(x1, x2), mul(y1, y2)))
		x := mul(new(big.Int).Add(mul(x1, y2), mul(y1, x2)), inverse(mod(new(big.Int).Add(one, e))))
		y := mul(new(big.Int).Add(mul(y1, y2), mul(x1, x2)), inverse(mod(new(big.Int).Sub(one, e))))
		return x, y
	}
	rx, ry := big.NewInt(0), big.NewInt(1)
	for i := order.BitLen() - 1; i >= 0; i-- {
		if rx, ry = add(rx, ry, rx, ry); order.Bit(i) == 1 {
			rx, ry = add(rx, ry, x, y)
		}
	}
	return rx.Sign() == 0 && ry.Cmp(one) == 0
}

// oracleBodies cuts a message into bodies (SPEC.md §6.1), without acknowledgements:
// the hash of the frame before is that of §6.2, zeros before seq 1.
func oracleBodies(kind byte, seq uint64, id [16]byte, content []byte) (bodies [][]byte) {
	n := (len(content) + 803) / 804
	if n == 0 {
		n = 1
	}
	before := make([]byte, 16)
	for i := range n {
		part := content[i*804 : min(len(content), i*804+804)]
		b := make([]byte, 876)
		b[0] = kind
		binary.BigEndian.PutUint16(b[2:], uint16(len(part)))
		binary.BigEndian.PutUint16(b[4:], uint16(i))
		binary.BigEndian.PutUint16(b[6:], uint16(n))
		binary.BigEndian.PutUint64(b[8:], seq+uint64(i))
		copy(b[40:], id[:])
		copy(b[56:], before)
		copy(b[72:], part)
		bodies = append(bodies, b)
		before = oracleHash("hearsay/1 frame\x00", b[:72+len(part)])[:16]
	}
	return bodies
}
