package mailbox

import "sync/atomic"

// Stats are figures of a Server since its start.
type Stats struct {
	Queues    int // that live
	Blocks    int // that are held
	Stored    uint64
	Delivered uint64
	Dropped   uint64 // unreadable rows met: their key was gone
	Refused   map[Code]uint64
}

type counters struct {
	queues, blocks    atomic.Int64
	stored, delivered atomic.Uint64
	refused           [CodeFull + 1]atomic.Uint64
}

func (c *counters) add(queues, blocks int) {
	c.queues.Add(int64(queues))
	c.blocks.Add(int64(blocks))
}

// Stats returns the current figures.
func (s *Server) Stats() Stats {
	st := Stats{
		Queues: int(s.stats.queues.Load()), Blocks: int(s.stats.blocks.Load()), Stored: s.stats.stored.Load(),
		Delivered: s.stats.delivered.Load(), Dropped: s.store.dropped.Load(), Refused: make(map[Code]uint64),
	}
	for c := range s.stats.refused {
		if n := s.stats.refused[c].Load(); n > 0 {
			st.Refused[Code(c)] = n
		}
	}
	return st
}
