package mailbox

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// queueInput is an operation on a queue as a client sees it.
type queueInput struct {
	send int // block to store; -1: poll
}

// queueModel says what a queue is to those who use it at the same time: a list
// to which each block is appended once, and that a poll reads whole.
var queueModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		list, in := state.(string), input.(queueInput)
		if in.send < 0 {
			return output.(string) == list, list
		}
		block := fmt.Sprintf("%d,", in.send)
		if slices.Contains(strings.SplitAfter(list, ","), block) {
			return true, list
		}
		return true, list + block
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %v", input, output) },
}

// TestQueueIsLinearizable has circuits store and read blocks, some of them the
// same, at the same time: there is an order of all that fits what each saw.
func TestQueueIsLinearizable(t *testing.T) {
	s := startFast(t)
	defer s.shutdown()
	for _, kind := range []Kind{KindChat, KindFile, KindDrop} {
		owner := s.peer()
		q := owner.create(kind)
		start := time.Now()
		var mu sync.Mutex
		var ops []porcupine.Operation
		record := func(client int, in queueInput, run func() any) {
			op := porcupine.Operation{ClientId: client, Input: in, Call: time.Since(start).Nanoseconds()}
			op.Output = run()
			op.Return = time.Since(start).Nanoseconds()
			mu.Lock()
			defer mu.Unlock()
			ops = append(ops, op)
		}
		var wg sync.WaitGroup
		for client := range 3 {
			p := s.peer()
			defer p.session.Close()
			wg.Go(func() {
				for n := range 6 {
					n = (n + 3*client) % 16 // half of them are another's too
					record(client, queueInput{n}, func() any { p.store(q, n); return nil })
				}
			})
		}
		for client := range 2 {
			p := s.peer()
			defer p.session.Close()
			wg.Go(func() {
				for range 6 {
					record(4+client, queueInput{-1}, func() any {
						ok := p.subscribe(q, 0, PollWindow, false)
						list := ""
						for range ok.Next - ok.Lowest {
							m, err := ParseMsg(p.want(CmdMsg))
							if err != nil {
								t.Error(err)
								return list
							}
							for n := range 16 {
								if _, block := testBlock(n); block == m.Block {
									list += fmt.Sprintf("%d,", n)
								}
							}
						}
						return list
					})
				}
			})
		}
		wg.Wait()
		owner.session.Close()
		if got := porcupine.CheckOperationsTimeout(queueModel, ops, 5*time.Minute); got != porcupine.Ok {
			t.Errorf("kind %d: %s", kind, got)
		}
	}
}
