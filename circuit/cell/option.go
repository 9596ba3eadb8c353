package cell

import "encoding/binary"

// OptionsSize is the space for options in CREATE and CREATED.
const OptionsSize = 16

// Option types (SPEC.md §5). Odd types are critical, even ones ignorable.
const (
	optionSlot   = 0x01
	optionCredit = 0x03
)

// Credit limits in cells (SPEC.md §5).
const (
	CreditInitial = 64
	CreditMin     = 32
	CreditMax     = 1024
	CreditStep    = 32 // cells that one SENDME acknowledges
)

// Options are what a client asks in CREATE and a relay accepts in CREATED.
type Options struct {
	HasSlot   bool
	Slot      int // hop index 0–3; mandatory in CREATE, absent in CREATED
	HasCredit bool
	Initial   uint16 // credited cells at the start
	Max       uint16 // most credited cells ever outstanding
}

// Append appends the 16 bytes of options.
func (o Options) Append(b []byte) []byte {
	start := len(b)
	if o.HasSlot {
		b = append(b, optionSlot, 1, byte(o.Slot))
	}
	if o.HasCredit {
		b = append(b, optionCredit, 4)
		b = binary.BigEndian.AppendUint16(b, o.Initial)
		b = binary.BigEndian.AppendUint16(b, o.Max)
	}
	return append(b, make([]byte, OptionsSize-(len(b)-start))...)
}

// ParseOptions decodes exactly 16 bytes. Types must rise; unknown odd types,
// values out of range and bytes after the end give ErrFormat; unknown even
// types are skipped.
func ParseOptions(b []byte) (Options, error) {
	var o Options
	if len(b) != OptionsSize {
		return o, malformed("options size")
	}
	last := byte(0)
	for len(b) > 0 {
		t := b[0]
		if t == 0 {
			if !isZero(b) {
				return Options{}, malformed("options padding")
			}
			return o, nil
		}
		if t <= last || len(b) < 2 || int(b[1]) > len(b)-2 {
			return Options{}, malformed("options order or length")
		}
		last = t
		v := b[2 : 2+b[1]]
		b = b[2+len(v):]
		switch {
		case t == optionSlot:
			if len(v) != 1 || v[0] >= Slots {
				return Options{}, malformed("slot")
			}
			o.HasSlot, o.Slot = true, int(v[0])
		case t == optionCredit:
			if len(v) != 4 {
				return Options{}, malformed("credit")
			}
			o.HasCredit = true
			o.Initial, o.Max = binary.BigEndian.Uint16(v), binary.BigEndian.Uint16(v[2:])
			if o.Initial < CreditMin || o.Max < o.Initial || o.Max > CreditMax {
				return Options{}, malformed("credit range")
			}
		case t%2 == 1:
			return Options{}, malformed("critical option")
		}
	}
	return o, nil
}
