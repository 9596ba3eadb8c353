package chat

import (
	"sync"
	"time"
)

// handover keeps an open mailbox that one worker has no more use for until the
// next one, which has to talk with the same relay about the same queue, takes it
// over, so that a new contact costs few circuits. It is safe for concurrent use.
type handover struct {
	mu    sync.Mutex
	posts map[string]*post // by isolation name
}

// leave keeps a post for a while; if nobody takes it by then it is closed.
func (h *handover) leave(isolation string, p *post, life time.Duration) {
	h.mu.Lock()
	old := h.posts[isolation]
	h.posts[isolation] = p
	h.mu.Unlock()
	if old != nil {
		old.Close()
	}
	time.AfterFunc(life, func() {
		h.mu.Lock()
		there := h.posts[isolation] == p
		if there {
			delete(h.posts, isolation)
		}
		h.mu.Unlock()
		if there {
			p.Close()
		}
	})
}

// take returns the post that was left under a name, if it still serves.
func (h *handover) take(isolation string) *post {
	h.mu.Lock()
	p := h.posts[isolation]
	delete(h.posts, isolation)
	h.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.Done():
	case <-p.route.Retire():
	default:
		return p
	}
	p.Close()
	return nil
}

// drop closes what was left under a name, without waiting for it: what the name
// stands for has become another queue, which must not show its relay that both
// are of one client.
func (h *handover) drop(isolation string) {
	h.mu.Lock()
	p := h.posts[isolation]
	delete(h.posts, isolation)
	h.mu.Unlock()
	if p != nil {
		go p.Close()
	}
}

// close closes what nobody took.
func (h *handover) close() {
	h.mu.Lock()
	posts := h.posts
	h.posts = make(map[string]*post)
	h.mu.Unlock()
	for _, p := range posts {
		p.Close()
	}
}
