package lab

import (
	"slices"
	"sync"
)

// Memory is a circuit.State and gossip.State that dies with the process. The
// zero value is empty. It is safe for concurrent use.
type Memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

// Load returns what was saved under a name, nil if nothing was.
func (s *Memory) Load(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[name], nil
}

// Save keeps a copy of the value under a name.
func (s *Memory) Save(name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[string][]byte)
	}
	s.m[name] = slices.Clone(value)
	return nil
}
