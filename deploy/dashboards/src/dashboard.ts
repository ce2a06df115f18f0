// What all dashboards have in common: data source, links to each other, rows, and where panels stand.

import { DashboardCursorSync, VariableHide } from "@grafana/schema";
import type { Dashboard, DashboardLink, Panel, RowPanel, VariableModel } from "@grafana/schema";

import { DATASOURCE } from "./panels.js";
import type { Unplaced } from "./panels.js";

const WIDTH = 24;

export interface Row {
  title: string;
  panels: Unplaced[];
}

/** What a dashboard says of itself. `uid` is part of its address: it stays as it is. */
export interface Told {
  uid: string;
  title: string;
  description: string;
  rows: Row[];
  variables?: VariableModel[];
}

const source: VariableModel = {
  name: "DS",
  type: "datasource",
  label: "Data source",
  description: "The Prometheus that scrapes Breakwater.",
  query: "prometheus",
  hide: VariableHide.dontHide,
  includeAll: false,
  multi: false,
};

/** Values of a label to choose from, all of them at first. */
export function choice(name: string, label: string, description: string, metric: string): VariableModel {
  return {
    name,
    type: "query",
    label,
    description,
    datasource: DATASOURCE,
    query: { qryType: 1, query: `label_values(${metric}, ${name})`, refId: "PrometheusVariableQueryEditor-VariableQuery" },
    refresh: 2, // whenever the time range changes
    includeAll: true,
    allValue: ".*",
    multi: true,
    current: { selected: true, text: ["All"], value: ["$__all"] },
  };
}

const links: DashboardLink[] = [
  {
    title: "Breakwater",
    type: "dashboards",
    tags: ["breakwater"],
    asDropdown: false,
    icon: "external link",
    includeVars: true,
    keepTime: true,
    targetBlank: false,
    tooltip: "The other dashboards of Breakwater, for the same time and data source",
    url: "",
  },
];

/** Put panels into rows, from left to right and from top to bottom. */
function placed(rows: Row[]): (Panel | RowPanel)[] {
  const found: (Panel | RowPanel)[] = [];
  let y = 0;
  for (const row of rows) {
    found.push({ type: "row", id: found.length + 1, title: row.title, collapsed: false, panels: [], gridPos: { x: 0, y, w: WIDTH, h: 1 } });
    y += 1;
    let x = 0;
    let highest = 0;
    for (const { panel, width, height } of row.panels) {
      if (x + width > WIDTH) {
        y += highest;
        x = highest = 0;
      }
      found.push({ ...panel, id: found.length + 1, gridPos: { x, y, w: width, h: height } });
      x += width;
      highest = Math.max(highest, height);
    }
    y += highest;
  }
  return found;
}

export function dashboard(told: Told): Dashboard {
  return {
    uid: told.uid,
    title: told.title,
    description: told.description,
    tags: ["breakwater"],
    schemaVersion: 41,
    version: 1,
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    timezone: "browser",
    time: { from: "now-6h", to: "now" },
    refresh: "30s",
    links,
    annotations: { list: [] },
    templating: { list: [source, ...(told.variables ?? [])] },
    panels: placed(told.rows),
  };
}
