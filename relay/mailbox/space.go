package mailbox

import (
	"sync"
	"time"
)

// Space below which nothing new is taken (SPEC.md §7.5).
const (
	MinFree     = 256 << 20 // bytes, for SEND and NEW
	FullForNew  = 90        // percent used
	FullForSend = 95
)

// Implementation constants of space.
const (
	spaceCache   = time.Second
	busyArgument = 5 // seconds after which a sender may try again

	// What a block and a queue take on the disk, with their rows and what the
	// database leaves free between them; bytes. A test measures it.
	blockSpace = 3456
	queueSpace = 1024
)

// SetSpace limits what the queues may take on the disk, in bytes; 0: no limit but
// the disk's. What is there stays, until it is read or expires. It is safe for
// concurrent use.
func (s *Server) SetSpace(bytes int64) { s.maxSpace.Store(max(bytes, 0)) }

// Used is about what the queues take on the disk, in bytes. It is safe for
// concurrent use.
func (s *Server) Used() int64 {
	return Space(s.stats.queues.Load(), s.stats.blocks.Load())
}

// Space is about what so many queues and blocks take on the disk, in bytes.
func Space(queues, blocks int64) int64 { return blocks*blockSpace + queues*queueSpace }

// refuses tells whether NEW and SEND are refused now, for want of the disk's space
// or of what the operator gives.
func (s *Server) refuses() (newQueue, send bool) {
	newQueue, send = s.space.refuses()
	if limit := s.maxSpace.Load(); limit > 0 {
		used := s.Used()
		newQueue, send = newQueue || used >= limit/100*FullForNew, send || used >= limit
	}
	return newQueue, send
}

// space watches the disk, asking at most once a second.
type space struct {
	read func() (free, total uint64, err error)
	lab  bool // the percentages hold outside of labs only

	mu          sync.Mutex
	at          time.Time
	known       bool
	free, total uint64
}

// refuses tells whether NEW and SEND are refused now. A disk that does not
// answer refuses both.
func (s *space) refuses() (newQueue, send bool) {
	free, total, ok := s.get()
	if !ok {
		var err error
		if free, total, err = s.read(); err != nil {
			return true, true
		}
		s.set(free, total)
	}
	if free < MinFree {
		return true, true
	}
	if s.lab || total == 0 {
		return false, false
	}
	used := 100 - float64(free)*100/float64(total)
	return used >= FullForNew, used >= FullForSend
}

func (s *space) get() (free, total uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := time.Since(s.at)
	return s.free, s.total, s.known && age >= 0 && age < spaceCache
}

func (s *space) set(free, total uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free, s.total, s.at, s.known = free, total, time.Now(), true
}
