package link

import (
	"errors"

	"hearsay/circuit/cell"
)

// controlStream is the id of the control stream: the dialer's first.
const controlStream = 0

// Why a control stream ends a link. A peer never learns it.
var (
	errControlOrder = errors.New("link: cell out of order on the control stream")
	errControlTrim  = errors.New("link: trim that is not that of the place")
	errControlShape = errors.New("link: SHAPE on a link that is never shaped")
	errControlType  = errors.New("link: circuit cell on the control stream")
)

// control is the state of one direction of a control stream: what the peer has
// sent so far. The zero value is the start. It does no I/O.
type control struct {
	client bool   // the link is one of a client: it may be shaped
	hello  bool   // LINK_HELLO seen
	goAway bool   // GOAWAY seen
	offset uint64 // bytes taken
}

// take judges the next cell (cell.Size bytes and its trim). It returns the
// hello if the cell is the LINK_HELLO, which must come first and once, and the
// order if it is a SHAPE, of which the caller says whether it may come now. Any
// error ends the link (SPEC.md §4.1).
func (s *control) take(c []byte) (*cell.Hello, *cell.Shaping, error) {
	if len(c) < cell.Size {
		return nil, nil, cell.ErrFormat
	}
	h, err := cell.ParseHeader(c[:cell.Size])
	if err != nil {
		return nil, nil, err
	}
	if len(c) != cell.Size+int(h.Trim) {
		return nil, nil, cell.ErrFormat
	}
	if h.Trim != 0 && !s.mayTrim(c) {
		return nil, nil, errControlTrim
	}
	if s.hello == (h.Type == cell.LinkHello) {
		return nil, nil, errControlOrder
	}
	s.offset += uint64(len(c))
	switch h.Type {
	case cell.LinkHello:
		hello, err := cell.ParseHello(cell.Body(c))
		if err != nil {
			return nil, nil, err
		}
		s.hello = true
		return &hello, nil, nil
	case cell.Pad:
		return nil, nil, nil
	case cell.GoAway:
		if s.goAway {
			return nil, nil, errControlOrder
		}
		s.goAway = true
		return nil, nil, nil
	case cell.Shape:
		if !s.client {
			return nil, nil, errControlShape
		}
		shape, err := cell.ParseShaping(cell.Body(c))
		if err != nil {
			return nil, nil, err
		}
		return nil, &shape, nil
	default:
		return nil, nil, errControlType
	}
}

// mayTrim reports whether the zero bytes after a cell are those of its place on
// the stream, less what went beside it (SPEC.md §8.2). LINK_HELLO goes out before
// the first tick.
func (s *control) mayTrim(c []byte) bool {
	zeros := c[cell.Size:]
	for _, b := range zeros {
		if b != 0 {
			return false
		}
	}
	less := trim(controlStream, s.offset) - len(zeros)
	return s.client && s.hello && less >= 0 && less <= besideMost
}

// helloCell encodes a LINK_HELLO as a whole cell.
func helloCell(h cell.Hello) []byte {
	c := make([]byte, cell.Size)
	cell.Header{Type: cell.LinkHello}.Put(c)
	h.Put(cell.Body(c))
	return c
}

// goAwayCell encodes a GOAWAY as a whole cell.
func goAwayCell() []byte {
	c := make([]byte, cell.Size)
	cell.Header{Type: cell.GoAway}.Put(c)
	return c
}
