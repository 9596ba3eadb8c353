// Package tui is hearsay's terminal client: one Bubble Tea model, App, that
// shows what chat says and nothing that chat has not proven; and RunPlain, the
// same client line by line for screen readers and for no terminal at all.
//
// # What it keeps to
//
// It sees chat through the interfaces Home and Chat, and this computer through
// the functions of Config. It does no I/O but through them, and never inside
// Update: ask, act and do run work in commands, which end with the program, and
// bring what came of it back into Update. A result is dropped when its dialog is
// closed or the profile was locked in between; a failure of what the person began
// is said all the same. Events come in order, in batches, from one subscription;
// what another terminal does comes by them too.
//
// Every string that came from anybody passes chat.Sanitize before it is laid out,
// pastes included; only passphrases, which nobody sees, are taken as they are. A
// text cannot leave its column, so that nothing in it passes for another author.
//
// Locking forgets what was decrypted: lists, windows of conversations, drafts,
// dialogs and what was cut. Drafts are on the disk before, encrypted.
//
// # How it is built
//
// Keys are found in one table (keymap.go), which the help is made from and people
// rebind; slash commands in another (command.go), which the plain mode shares.
// Signs come from the theme, so that ASCII is a theme, and widths from
// x/ansi alone.
//
// A conversation holds a window of its history and an anchor: a message and the
// row it stands on, or the end. Lines are laid out for the messages that fit the
// pane and are kept by message, width and theme. No height of the whole is ever
// known, so that a hundred thousand messages cost what a screenful costs.
//
// Dialogs form a stack; esc closes the top one, always. Each declares the part of
// the key table that is in force in it.
//
// # What it does not do
//
// It sends no typing notices and no read receipts, opens no links and no files,
// touches the clipboard only on a key, and tells terminals no names unless the
// person chose so. Nothing moves by itself: the timers are those of the clock and
// the status, of an open invite, and of a notification that was just given.
package tui
