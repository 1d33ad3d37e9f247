package repo

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"practicectl/internal/uerr"
)

// HoldPrefix is where holds lie.
const HoldPrefix = "h/"

// Hold keeps a snapshot from being pruned until a day: h/<snapshot>/<id>. Every host that may write can add one. Only the owner
// ends one early, with another such document that names it, so that whoever takes a host over cannot.
type Hold struct {
	Format     int       `json:"format"`
	Repository string    `json:"repository"`
	ID         string    `json:"id"` // 32 hexadecimal digits
	Snapshot   string    `json:"snapshot"`
	Host       string    `json:"host,omitempty"` // who signed it; empty: the owner
	Created    time.Time `json:"created"`
	Until      time.Time `json:"until,omitzero"`
	Reason     string    `json:"reason,omitempty"` // no patient's name: everyone can read it
	Ends       string    `json:"ends,omitempty"`   // id of the hold that this document ends; only by the owner
}

// MaxHoldReason is the most bytes of a reason.
const MaxHoldReason = 200

var holdForm = regexp.MustCompile(`^h/([0-9a-f]{32})/([0-9a-f]{32})$`)

// Key is the object of the hold.
func (h Hold) Key() string { return HoldPrefix + h.Snapshot + "/" + h.ID }

// SignHold writes a hold. The key is that of the host it names, or the owner's.
func SignHold(h Hold, key ed25519.PrivateKey) ([]byte, error) { return sign(kindHold, h, key) }

// ParseHold checks a hold stored under key.
func ParseHold(key string, data []byte, root Root, s Settings) (Hold, error) {
	var h Hold
	line, sig, rest, err := split(data)
	if err != nil {
		return h, err
	}
	if err := decode(line, &h.Format, &h); err != nil {
		return h, err
	}
	signer, ok := ed25519.PublicKey(root.Owner), true
	if h.Host != "" {
		signer, ok = s.WriterOf(h.Host)
	}
	switch {
	case !ok:
		return h, fmt.Errorf("host %q may not write to this repository", clip(h.Host))
	case !holdForm.MatchString(key) || key != h.Key() || len(rest) != 0:
		return h, errors.New("it was stored under another name")
	case h.Repository != root.ID:
		return h, errors.New("it belongs to another repository")
	case h.Ends != "" && h.Host != "":
		return h, errors.New("a host wants to end a hold, which only the owner may")
	case len(h.Reason) > MaxHoldReason:
		return h, errors.New("its reason is too long")
	}
	return h, verify(kindHold, line, sig, signer)
}

// Holds reads the holds in force at now, in the order of their names. What is no hold of ours comes as errors of kind Integrity
// in ignored. Error kinds: Auth, Unreachable.
func (r *Repo) Holds(ctx context.Context, now time.Time) (holds []Hold, ignored []error, err error) {
	const op = "read the holds of"
	ended := map[string]bool{}
	var all []Hold
	there, err := listAll(ctx, r.Store, HoldPrefix)
	if err != nil {
		return nil, nil, StoreError(op, r.Store, HoldPrefix, err)
	}
	for _, one := range there {
		var h Hold
		_, _, err := r.readFirst(ctx, op, one, maxDocument, func(data []byte) (err error) {
			h, err = ParseHold(one.Key, data, r.Root, r.Settings)
			return err
		})
		switch {
		case uerr.KindOf(err) == uerr.Integrity:
			ignored = append(ignored, err)
			continue
		case err != nil:
			return nil, nil, err
		}
		if h.Ends != "" {
			ended[h.Ends] = true
		} else {
			all = append(all, h)
		}
	}
	for _, h := range all {
		if !ended[h.ID] && h.Until.After(now) {
			holds = append(holds, h)
		}
	}
	return holds, ignored, nil
}

// CheckReason refuses a reason that is too long or would break a line.
func CheckReason(reason string) error {
	if len(reason) > MaxHoldReason || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("the reason is one line of at most %d bytes", MaxHoldReason)
	}
	return nil
}
