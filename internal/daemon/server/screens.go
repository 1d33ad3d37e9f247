package server

import (
	"log/slog"
	"net/http"

	"practicectl/internal/buildinfo"
	"practicectl/internal/config"
	"practicectl/internal/uerr"
	core "practicectl/server"
	"practicectl/server/gate"
	"practicectl/server/web"
)

// screens serves what people see in the browser.
func screens(svc *core.Services, g *gate.Gate, f *config.File, log *slog.Logger) (http.Handler, error) {
	w, err := web.New(svc, g, web.Options{Practice: f.Practice.Name, Language: f.Practice.Language, Timezone: f.Practice.Timezone, Currency: f.Practice.Currency,
		Version: buildinfo.Version(), Log: log})
	if err != nil {
		return nil, uerr.New(uerr.Failed, "prepare the screens", "", err, "practicectl component verify")
	}
	return w.Handler(), nil
}
