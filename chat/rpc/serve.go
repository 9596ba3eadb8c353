package rpc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"hearsay/chat"
)

// Implementation constants.
const (
	maxInFlight = 64          // requests at work at once; beyond it, reading stops
	sendBacklog = 256         // sends waiting for their turn; beyond it, reading stops
	finishGrace = time.Second // what requests at work get at the end of the input
)

// Serve writes the ready line and then serves requests from in until the end of
// the input, a shutdown request or the end of ctx, each of which returns nil
// once the answers are out. It fails if the input cannot be read or the output
// not be written. Requests at work at the end get one second. When ctx ends
// while in blocks, Serve closes in if it can; otherwise one goroutine stays in
// Read until the process ends. So do those that write to a reader who takes
// nothing, for whom Serve then waits no longer than two seconds.
func Serve(ctx context.Context, backend Backend, in io.Reader, out io.Writer, info Ready) error {
	return serve(ctx, backend, in, out, info, nil)
}

// serve is Serve; stop ends a daemon, nil if there is none.
func serve(ctx context.Context, backend Backend, in io.Reader, out io.Writer, info Ready, stop func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &server{backend: backend, stop: stop, cancel: cancel, slots: make(chan struct{}, maxInFlight), sends: make(chan func(), sendBacklog)}
	s.encoder = json.NewEncoder(out)
	s.encoder.SetEscapeHTML(false)
	s.notify("ready", shapeReady(info))

	lines := make(chan line) // unbuffered: the reader is one line ahead
	go readLines(ctx, in, lines)
	go func() {
		for send := range s.sends {
			send()
		}
	}()

	// Requests work under a context of their own, so that those at work when
	// ctx ends still finish and answer.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	last := s.loop(ctx, work, lines)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		grace := time.AfterFunc(finishGrace, stopWork)
		s.requests.Wait()
		grace.Stop()
		close(s.sends)
		s.unsubscribe()
		if last != nil {
			s.answer(last, struct{}{}, nil)
		}
	}()
	select {
	case <-finished:
	case <-ctx.Done(): // told to end: no longer than this for one who does not read
		select {
		case <-finished:
		case <-time.After(2 * finishGrace):
		}
	}
	if c, ok := in.(io.Closer); ok && ctx.Err() != nil {
		_ = c.Close()
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

type line struct {
	text []byte
	err  error
}

// readLines sends the lines of in, and then the error that ended it.
func readLines(ctx context.Context, in io.Reader, lines chan<- line) {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		text, err := readLine(r, maxLine)
		select {
		case lines <- line{text, err}:
		case <-ctx.Done():
			return
		}
		if err != nil && !errors.Is(err, errLineTooLong) {
			return
		}
	}
}

type server struct {
	backend  Backend
	stop     func() // ends the daemon; nil: there is none
	cancel   context.CancelCauseFunc
	slots    chan struct{} // one per request at work
	sends    chan func()   // in line order, one at a time
	requests sync.WaitGroup

	endPump func() // ends the event pump of the last subscribe; nil without

	mu      sync.Mutex // guards encoder: one line at a time
	encoder *json.Encoder
}

// loop reads until the input ends. It returns the id of the shutdown request
// that ended it, or nil.
func (s *server) loop(ctx, work context.Context, lines <-chan line) json.RawMessage {
	for {
		select {
		case <-ctx.Done():
			return nil
		case l := <-lines:
			switch {
			case errors.Is(l.err, errLineTooLong):
				s.answer(nil, nil, refuse(codeRequest, "%s", l.err))
				continue
			case errors.Is(l.err, io.EOF):
				return nil
			case l.err != nil:
				s.cancel(l.err)
				return nil
			}
			if len(l.text) == 0 {
				continue
			}
			req, bad := parseRequest(l.text)
			if bad != nil {
				s.answer(req.id, nil, bad)
				continue
			}
			if req.method == "shutdown" {
				if bad := (&arguments{params: req.params}).done(); bad != nil {
					s.answerRequest(req, nil, bad)
					continue
				}
				if req.id == nil {
					return nil
				}
				return req.id
			}
			s.start(ctx, work, req)
		}
	}
}

// start begins one request; it returns when the next may begin.
func (s *server) start(ctx, work context.Context, req request) {
	if req.method == "subscribe" {
		s.subscribe(ctx, req)
		return
	}
	if req.method == "message.send" || req.method == "message.reply" {
		s.send(ctx, work, req)
		return
	}
	call, bad := s.prepare(req)
	if bad != nil {
		s.answerRequest(req, nil, bad)
		return
	}
	if s.enter(ctx) {
		go s.finish(req, func() (any, error) { return call(work) })
	}
}

// enter waits until a request may be at work; false if ctx ended.
func (s *server) enter(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		s.requests.Add(1)
		return true
	case <-ctx.Done():
		return false
	}
}

// finish does the work of a request that entered, and answers.
func (s *server) finish(req request, call func() (any, error)) {
	defer func() { <-s.slots; s.requests.Done() }()
	result, err := call()
	s.answerRequest(req, result, failure(err))
}

// send begins to send a text, or a reply, behind those of earlier lines. The next
// one begins when this one has its place, not only when it is on the disk, so
// that texts which follow each other share disk syncs.
func (s *server) send(ctx, work context.Context, req request) {
	args := &arguments{params: req.params}
	var contact string
	var o chat.SendOptions
	if req.method == "message.reply" {
		o.Reply = args.text("message", true)
		contact, _ = chat.ConversationOf(o.Reply)
	} else {
		contact = args.text("contact", true)
	}
	text := args.text("text", true)
	o.Key = args.key()
	if bad := args.done(); bad != nil {
		s.answerRequest(req, nil, bad)
		return
	}
	if !s.enter(ctx) {
		return
	}
	s.sends <- func() { // never blocks for long: slots bound it below its capacity
		wait := s.backend.StartSend(work, contact, text, o)
		go s.finish(req, func() (any, error) {
			m, err := wait()
			return idShape{m.ID}, err
		})
	}
}

// subscribe answers first, so that no event of the subscription precedes its
// number, and replaces an earlier subscription.
func (s *server) subscribe(ctx context.Context, req request) {
	args := &arguments{params: req.params}
	var since *uint64
	args.read("since", false, &since)
	if bad := args.done(); bad != nil {
		s.answerRequest(req, nil, bad)
		return
	}
	s.unsubscribe()
	sub := s.backend.Subscribe()
	if since != nil {
		sub.Close()
		var err error
		if sub, err = s.backend.SubscribeSince(ctx, *since); err != nil {
			s.answerRequest(req, nil, failure(err))
			return
		}
	}
	s.answerRequest(req, struct {
		Seq uint64 `json:"seq"`
	}{sub.Seq()}, nil)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s.endPump = func() { cancel(); sub.Close(); <-done }
	go func() {
		defer close(done)
		for {
			ev, err := sub.Next(ctx)
			if err != nil {
				return
			}
			if params := shapeEvent(ev); params != nil {
				s.notify("event", params)
			}
		}
	}()
}

func (s *server) unsubscribe() {
	if s.endPump != nil {
		s.endPump()
		s.endPump = nil
	}
}

func (s *server) answerRequest(req request, result any, bad *answerError) {
	if req.id != nil {
		s.answer(req.id, result, bad)
	}
}

// answer writes the answer to a request; a nil id becomes null.
func (s *server) answer(id json.RawMessage, result any, bad *answerError) {
	if id == nil {
		id = json.RawMessage("null")
	}
	if bad != nil {
		s.write(struct {
			Version string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Error   *answerError    `json:"error"`
		}{jsonVersion, id, bad})
		return
	}
	s.write(struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Result  any             `json:"result"`
	}{jsonVersion, id, result})
}

func (s *server) notify(method string, params any) {
	s.write(struct {
		Version string `json:"jsonrpc"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{jsonVersion, method, params})
}

// write puts one line out. A reader that is gone ends the service.
func (s *server) write(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.encoder.Encode(v); err != nil {
		s.cancel(err)
	}
}
