// Package tui is hearsay's terminal client: one Bubble Tea model, App, that
// shows what chat says and nothing that chat has not proven.
//
// It sees chat through the interfaces Home and Chat. It does no I/O but through
// them, and never inside Update: slow work runs in commands, whose late results
// are dropped when they no longer belong to what is on screen. Every string that
// came from a peer passes chat.Sanitize before it is laid out.
package tui
