package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"practicectl/internal/secret"
	"practicectl/internal/uerr"
)

// maxBody is the most of a log's tail that is sent, in bytes.
const maxBody = 10_000

// Ping tells a dead-man switch that a job began and how it ended, in the protocol of healthchecks.io (Pinging API): the switch raises
// the alarm when nothing comes. The URL is a secret: who has it can keep the alarm from being raised.
type Ping struct {
	URL    secret.Text // "{job}" in it stands for the name of the job; without it only the job "backup" pings
	Client *http.Client
	Tries  int           // at most; 0: 3
	Pause  time.Duration // between them; 0: 2 seconds
	Within time.Duration // one try; 0: 10 seconds
}

// For reports whether the job is one that pings.
func (p Ping) For(job string) bool {
	return !p.URL.Empty() && (job == "backup" || strings.Contains(p.URL.Reveal(), "{job}"))
}

// Start says that a run began. Error kind: Unreachable, Config.
func (p Ping) Start(ctx context.Context, job, rid string) error {
	return p.send(ctx, job, "start", rid, "")
}

// End says how a run ended. A run that was skipped is only noted there.
func (p Ping) End(ctx context.Context, e Event, rid string, tail []string) error {
	path := strconv.Itoa(e.Exit)
	if e.Skipped {
		path = "log"
	}
	head := fmt.Sprintf("job %s, run %s, exit %d after %.1f s\n", e.Job, e.Run, e.Exit, e.Took.Seconds())
	if e.Error != "" {
		head += e.Error + "\n"
	}
	body := strings.Join(tail, "\n")
	return p.send(ctx, e.Job, path, rid, head+body[max(0, len(body)-maxBody+len(head)):])
}

func (p Ping) send(ctx context.Context, job, path, rid, body string) error {
	const op = "ping the dead-man switch"
	u, err := url.Parse(strings.ReplaceAll(p.URL.Reveal(), "{job}", job))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return uerr.New(uerr.Config, op, "", errors.New("the file that notify.ping names holds no http URL"), "put the ping URL of the check into it, and nothing else")
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + path
	q := u.Query()
	q.Set("rid", rid)
	u.RawQuery = q.Encode()
	tries, pause, within := p.Tries, p.Pause, p.Within
	if tries == 0 {
		tries = 3
	}
	if pause == 0 {
		pause = 2 * time.Second
	}
	if within == 0 {
		within = 10 * time.Second
	}
	for n := 1; ; n++ {
		again, err := p.try(ctx, u.String(), body, within)
		if err == nil {
			return nil
		}
		if !again || n == tries || ctx.Err() != nil {
			return uerr.New(uerr.Unreachable, op, "for the job "+job, err, "try it: practicectl notify check")
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// try sends once and says whether another try may help. Errors do not hold the URL.
func (p Ping) try(ctx context.Context, to, body string, within time.Duration) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return false, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header.Set("User-Agent", "practicectl")
	res, err := p.Client.Do(req)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err
		}
		return true, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // only so that the connection can be used again
	if err := res.Body.Close(); err != nil {
		return true, err
	}
	if res.StatusCode/100 != 2 {
		return res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests, fmt.Errorf("it answered %s", res.Status)
	}
	return false, nil
}
