// The kinds of panels there are, typed by Grafana's own schema: what a dashboard says of one is what differs.

import {
  BarGaugeDisplayMode,
  BarGaugeNamePlacement,
  BarGaugeSizing,
  BarGaugeValueMode,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  FieldColorModeId,
  GraphDrawStyle,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LineInterpolation,
  PercentChangeColorMode,
  SortOrder,
  StackingMode,
  ThresholdsMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizOrientation,
} from "@grafana/schema";
import type {
  DataQuery,
  DataSourceRef,
  FieldConfig,
  GraphFieldConfig,
  LegendPlacement,
  Panel,
  Threshold,
  ValueMapping,
} from "@grafana/schema";
import type { Options as TimeSeriesOptions } from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type { Options as StatOptions } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { Options as BarGaugeOptions } from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";

export const DATASOURCE: DataSourceRef = { type: "prometheus", uid: "${DS}" };

/** A query to Prometheus; Grafana's schema package leaves this type to its data source. */
interface PrometheusQuery extends DataQuery {
  datasource: DataSourceRef;
  editorMode: "code";
  expr: string;
  instant: boolean;
  legendFormat: string;
  range: boolean;
}

/** Units of Grafana that are used here. */
export type Unit = "short" | "s" | "percentunit" | "currencyUSD" | "reqps" | "ops" | "bytes" | "bool_yes_no";

/** One query and what its series are called; `{{label}}` stands for a label's value. */
export type Query = [expr: string, legend: string];

/** From a value on, a color. */
export type Step = [from: number | null, color: "green" | "yellow" | "orange" | "red" | "blue" | "text"];

/** What every panel says of itself. `width` of 24. */
export interface Said {
  title: string;
  description: string;
  unit: Unit;
  queries: Query[];
  width?: number;
  height?: number;
  steps?: Step[];
  min?: number;
  max?: number;
  decimals?: number;
}

/** A panel that has no place yet. */
export interface Unplaced {
  panel: Panel;
  width: number;
  height: number;
}

function targets(queries: Query[], instant: boolean): Record<string, unknown>[] {
  return queries.map(([expr, legendFormat], place) => {
    const query: PrometheusQuery = {
      datasource: DATASOURCE,
      editorMode: "code",
      expr,
      instant,
      legendFormat,
      range: !instant,
      refId: String.fromCharCode(65 + place),
    };
    return { ...query };
  });
}

function thresholds(steps: Step[]): { mode: ThresholdsMode; steps: Threshold[] } {
  // Grafana writes the lowest step's value, minus infinity, as null: JSON has no other way.
  return { mode: ThresholdsMode.Absolute, steps: steps.map(([value, color]) => ({ value, color }) as Threshold) };
}

function field(said: Said, color: FieldColorModeId): FieldConfig {
  return {
    color: { mode: color },
    unit: said.unit,
    thresholds: thresholds(said.steps ?? [[null, color === FieldColorModeId.Thresholds ? "text" : "green"]]),
    ...(said.min === undefined ? {} : { min: said.min }),
    ...(said.max === undefined ? {} : { max: said.max }),
    ...(said.decimals === undefined ? {} : { decimals: said.decimals }),
  };
}

/** How something moved over time. `stacked` where the sum means something; `steps` are drawn as lines. */
export function graph(said: Said & { stacked?: boolean }): Unplaced {
  const custom: GraphFieldConfig = {
    drawStyle: GraphDrawStyle.Line,
    fillOpacity: said.stacked ? 40 : 8,
    lineInterpolation: LineInterpolation.Linear,
    lineWidth: 1,
    showPoints: VisibilityMode.Never,
    spanNulls: false,
    stacking: { group: "A", mode: said.stacked ? StackingMode.Normal : StackingMode.None },
    thresholdsStyle: { mode: said.steps ? GraphThresholdsStyleMode.Dashed : GraphThresholdsStyleMode.Off },
  };
  const options: TimeSeriesOptions = {
    legend: {
      calcs: ["lastNotNull", "max"],
      displayMode: LegendDisplayMode.Table,
      placement: "bottom" satisfies LegendPlacement,
      showLegend: true,
    },
    tooltip: { mode: TooltipDisplayMode.Multi, sort: SortOrder.Descending },
  };
  const panel: Panel = {
    type: "timeseries",
    title: said.title,
    description: said.description,
    datasource: DATASOURCE,
    targets: targets(said.queries, false),
    fieldConfig: { defaults: { ...field({ min: 0, ...said }, FieldColorModeId.PaletteClassic), custom: { ...custom } }, overrides: [] },
    options: { ...options },
  };
  return { panel, width: said.width ?? 8, height: said.height ?? 8 };
}

/** One number, or a few, as they are now. `words` stand in place of numbers. */
export function stat(said: Said & { words?: Record<string, string> }): Unplaced {
  const options: StatOptions = {
    colorMode: said.steps ? BigValueColorMode.Background : BigValueColorMode.Value,
    graphMode: BigValueGraphMode.None,
    justifyMode: BigValueJustifyMode.Auto,
    orientation: VizOrientation.Auto,
    percentChangeColorMode: PercentChangeColorMode.Standard,
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    showPercentChange: false,
    textMode: BigValueTextMode.Auto,
    wideLayout: true,
  };
  const mappings: ValueMapping[] = said.words
    ? [
        {
          type: "value" as ValueMapping["type"],
          options: Object.fromEntries(Object.entries(said.words).map(([value, text], index) => [value, { index, text }])),
        } as ValueMapping,
      ]
    : [];
  const panel: Panel = {
    type: "stat",
    title: said.title,
    description: said.description,
    datasource: DATASOURCE,
    targets: targets(said.queries, true),
    fieldConfig: { defaults: { ...field(said, FieldColorModeId.Thresholds), mappings }, overrides: [] },
    options: { ...options },
  };
  return { panel, width: said.width ?? 4, height: said.height ?? 4 };
}

/** Bars beside each other, one a series, as they are now. */
export function bars(said: Said): Unplaced {
  const options: BarGaugeOptions = {
    displayMode: BarGaugeDisplayMode.Basic,
    legend: { calcs: [], displayMode: LegendDisplayMode.List, placement: "bottom", showLegend: false },
    maxVizHeight: 300,
    minVizHeight: 16,
    minVizWidth: 8,
    namePlacement: BarGaugeNamePlacement.Auto,
    orientation: VizOrientation.Horizontal,
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    showUnfilled: true,
    sizing: BarGaugeSizing.Auto,
    valueMode: BarGaugeValueMode.Color,
  };
  const panel: Panel = {
    type: "bargauge",
    title: said.title,
    description: said.description,
    datasource: DATASOURCE,
    targets: targets(said.queries, true),
    fieldConfig: { defaults: field(said, FieldColorModeId.Thresholds), overrides: [] },
    options: { ...options },
  };
  return { panel, width: said.width ?? 8, height: said.height ?? 8 };
}

/** The quantiles of a histogram that are worth looking at; `by` names labels that keep its series apart. */
export function quantiles(buckets: string, by: string[] = []): Query[] {
  const legend = by.map((label) => ` {{${label}}}`).join("");
  return [0.5, 0.95, 0.99].map((share): Query => [
    `histogram_quantile(${share}, sum by (${["le", ...by].join(", ")}) (rate(${buckets}[$__rate_interval])))`,
    `${share * 100} %${legend}`,
  ]);
}
