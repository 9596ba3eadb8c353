package anonymity

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/relay"
)

// Messages of the laboratory's mailbox. They have the sizes and the order of
// real ones: each is one cell.
const (
	msgOpen      = 0x40 // the first of each stream
	msgHello     = 0x41 // its answer
	msgSubscribe = 0x42 // queue id
	msgSend      = 0x45 // block
	msgOK        = 0x46 // number of the block; answers all but a push
	msgPush      = 0x47 // block
	msgAck       = 0x48 // number of the block
)

// block is what a SEND carries: always cell.DataSize bytes on the wire.
type block struct {
	queue  uint32
	number uint64    // rising, of one sender
	made   time.Time // when the message was written
	sent   time.Time // when it was handed to the circuit
	ack    bool      // acknowledges what the other side wrote
}

func (b block) append(buf []byte) []byte {
	buf = binary.BigEndian.AppendUint32(buf, b.queue)
	buf = binary.BigEndian.AppendUint64(buf, b.number)
	buf = binary.BigEndian.AppendUint64(buf, uint64(b.made.UnixNano()))
	buf = binary.BigEndian.AppendUint64(buf, uint64(b.sent.UnixNano()))
	kind := byte(0)
	if b.ack {
		kind = 1
	}
	return append(append(buf, kind), make([]byte, cell.DataSize-29)...)
}

var errBlock = errors.New("anonymity: not a block")

func parseBlock(data []byte) (b block, err error) {
	if len(data) != cell.DataSize {
		return b, errBlock
	}
	b.queue = binary.BigEndian.Uint32(data)
	b.number = binary.BigEndian.Uint64(data[4:])
	b.made = time.Unix(0, int64(binary.BigEndian.Uint64(data[12:])))
	b.sent = time.Unix(0, int64(binary.BigEndian.Uint64(data[20:])))
	b.ack = data[28] == 1
	return b, nil
}

// post is the mailbox service of one relay, and what a hostile one sees.
type post struct {
	began func() (time.Time, bool)        // the observation
	mark  func(queue uint32) (Mark, bool) // delays pushes, as a hostile mailbox relay may

	mu    sync.Mutex
	boxes map[uint32]*box
}

// box is one queue.
type box struct {
	kept   []block // not acknowledged, in order
	reader *mailSession
	pushes []time.Duration // when blocks went out, before any delay by the relay
	ways   []float64       // seconds from the circuit to the mailbox relay, of each block
	waits  []float64       // seconds from writing, of each message
}

// Open is part of relay.Service.
func (p *post) Open(reply func(command, flags byte, stream uint16, data []byte) error) relay.ServiceSession {
	return &mailSession{post: p, reply: reply, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// box returns a queue; p.mu is held.
func (p *post) box(queue uint32) *box {
	b := p.boxes[queue]
	if b == nil {
		b = new(box)
		p.boxes[queue] = b
	}
	return b
}

// mailSession is one mailbox stream.
type mailSession struct {
	post   *post
	reply  func(command, flags byte, stream uint16, data []byte) error
	wake   chan struct{} // capacity 1: there may be something to push
	done   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
	stream uint16
	queue  uint32
	read   bool
	next   uint64 // the first number that was not pushed yet
}

// Close is part of relay.ServiceSession.
func (s *mailSession) Close() {
	s.once.Do(func() { close(s.done) })
	s.wg.Wait()
}

// Message is part of relay.ServiceSession.
func (s *mailSession) Message(command, _ byte, stream uint16, data []byte) error {
	switch command {
	case msgOpen:
		return s.reply(msgHello, 0, stream, nil)
	case msgSubscribe:
		if s.read || len(data) != 4 {
			return errBlock
		}
		s.read, s.stream, s.queue = true, stream, binary.BigEndian.Uint32(data)
		s.post.mu.Lock()
		s.post.box(s.queue).reader = s
		s.post.mu.Unlock()
		s.wg.Go(s.push)
		s.wake <- struct{}{}
		return s.reply(msgOK, 0, stream, make([]byte, 8))
	case msgSend:
		b, err := parseBlock(data)
		if err != nil {
			return err
		}
		s.post.take(b)
		return s.reply(msgOK, 0, stream, binary.BigEndian.AppendUint64(nil, b.number))
	case msgAck:
		if !s.read || len(data) != 8 {
			return errBlock
		}
		s.post.acknowledge(s.queue, binary.BigEndian.Uint64(data))
		return s.reply(msgOK, 0, stream, data)
	}
	return errBlock
}

// take stores a block; one that came before is stored once.
func (p *post) take(b block) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.box(b.queue)
	if n := len(x.kept); n > 0 && x.kept[n-1].number >= b.number {
		return
	}
	x.kept = append(x.kept, b)
	if _, on := p.began(); on {
		x.ways = append(x.ways, time.Since(b.sent).Seconds())
		if !b.ack {
			x.waits = append(x.waits, time.Since(b.made).Seconds())
		}
	}
	if x.reader != nil {
		select {
		case x.reader.wake <- struct{}{}:
		default:
		}
	}
}

// acknowledge forgets the blocks up to a number.
func (p *post) acknowledge(queue uint32, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.box(queue)
	for len(x.kept) > 0 && x.kept[0].number <= number {
		x.kept = x.kept[1:]
	}
}

// push sends the reader what is new until the session ends.
func (s *mailSession) push() {
	for {
		b, ok := s.newest()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-s.done:
				return
			}
		}
		s.hold()
		b.sent = time.Now()
		if s.reply(msgPush, 0, s.stream, b.append(nil)) != nil {
			return
		}
		s.next = b.number + 1
	}
}

func (s *mailSession) newest() (block, bool) {
	s.post.mu.Lock()
	defer s.post.mu.Unlock()
	for _, b := range s.post.box(s.queue).kept {
		if b.number >= s.next {
			return b, true
		}
	}
	return block{}, false
}

// hold notes a push and delays it if the relay is hostile and its code says so.
func (s *mailSession) hold() {
	begin, on := s.post.began()
	if !on {
		return
	}
	at := time.Since(begin)
	s.post.mu.Lock()
	x := s.post.box(s.queue)
	x.pushes = append(x.pushes, at)
	s.post.mu.Unlock()
	if m, hostile := s.post.mark(s.queue); hostile && m.On(at) {
		select {
		case <-time.After(MarkDelay):
		case <-s.done:
		}
	}
}
