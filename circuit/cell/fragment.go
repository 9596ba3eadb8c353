package cell

// PutFragments writes a CREATE message of CreateSize bytes or a CREATED
// message of CreatedSize bytes as two whole cells of type t into first and
// second, each Size bytes long; unused bytes become zero (SPEC.md §2.2).
// It panics if the length is not that of the type: the caller made it.
func PutFragments(first, second []byte, t Type, msg []byte) {
	if len(msg) != messageSize(t) {
		panic("cell: handshake message of wrong size")
	}
	Header{Type: t, Fragment: FirstOfTwo}.Put(first)
	copy(Body(first), msg[:BodySize])
	Header{Type: t, Fragment: SecondOfTwo}.Put(second)
	n := copy(Body(second), msg[BodySize:])
	clear(Body(second)[n:])
}

func messageSize(t Type) int {
	switch t {
	case Create:
		return CreateSize
	case Created:
		return CreatedSize
	}
	return -1
}

// Assembler joins the two fragments of one CREATE or CREATED message. The zero
// value with Type set is ready. It is not safe for concurrent use.
type Assembler struct {
	Type Type // Create or Created
	msg  []byte
	n    int // fragments taken
}

// Add takes the next whole cell. After the second fragment done is true and
// msg holds the message, which belongs to the caller. A cell of another type,
// out of order, with non-zero padding, or after the end gives ErrFormat.
func (a *Assembler) Add(c []byte) (msg []byte, done bool, err error) {
	if len(c) != Size {
		return nil, false, malformed("size")
	}
	h, err := ParseHeader(c)
	if err != nil {
		return nil, false, err
	}
	size := messageSize(a.Type)
	switch {
	case h.Type != a.Type || size < 0:
		return nil, false, malformed("type of fragment")
	case a.n == 0 && h.Fragment == FirstOfTwo:
		a.msg = make([]byte, 0, size)
		a.msg = append(a.msg, Body(c)...)
		a.n = 1
		return nil, false, nil
	case a.n == 1 && h.Fragment == SecondOfTwo:
		rest := size - BodySize
		if !isZero(Body(c)[rest:]) {
			return nil, false, malformed("padding")
		}
		a.n = 2
		return append(a.msg, Body(c)[:rest]...), true, nil
	}
	return nil, false, malformed("order of fragments")
}
