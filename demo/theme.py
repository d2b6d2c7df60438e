"""Theme: system fonts, so that nothing is fetched, and the colours of the eval report."""

from __future__ import annotations

import gradio as gr

_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
_MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")

LIGHT = {
    "page": "#ffffff",
    "panel": "#f4f6f8",
    "text": "#1b1f24",
    "quiet": "#57606a",
    "line": "#d0d7de",
    "edge": "#818b98",
    "ink": "#0b62a8",
    "on_ink": "#ffffff",
    "bad": "#a40e26",
}
DARK = {
    "page": "#14171a",
    "panel": "#1e2328",
    "text": "#e6e8ea",
    "quiet": "#a8b1ba",
    "line": "#3a424a",
    "edge": "#7d8791",
    "ink": "#6cb6ff",
    "on_ink": "#0d1114",
    "bad": "#ff9aa2",
}
"""Text on page and panel has a contrast of at least 4.5 in both (WCAG AA): tests/demo/test_demo_pieces.py."""

_USES = {
    "page": ("body_background_fill", "background_fill_primary", "block_background_fill", "input_background_fill",
             "checkbox_background_color", "accordion_text_color"),
    "panel": ("background_fill_secondary", "block_label_background_fill", "panel_background_fill",
              "button_secondary_background_fill", "checkbox_label_background_fill",
              "checkbox_label_background_fill_selected", "table_odd_background_fill"),
    "text": ("body_text_color", "block_label_text_color", "block_title_text_color", "button_secondary_text_color",
             "checkbox_label_text_color", "checkbox_label_text_color_selected", "table_text_color",
             "accordion_text_color"),
    "quiet": ("body_text_color_subdued", "block_info_text_color", "input_placeholder_color"),
    "line": ("border_color_primary", "block_border_color", "block_label_border_color", "panel_border_color",
             "button_secondary_background_fill_hover", "checkbox_label_background_fill_hover"),
    "edge": ("input_border_color", "checkbox_border_color", "checkbox_border_color_hover",
             "button_secondary_border_color"),
    "ink": ("button_primary_background_fill", "button_primary_border_color", "slider_color", "loader_color",
            "checkbox_background_color_selected", "checkbox_border_color_selected", "input_border_color_focus",
            "link_text_color", "link_text_color_hover", "link_text_color_active", "link_text_color_visited",
            "border_color_accent", "button_primary_background_fill_hover", "color_accent"),
    "on_ink": ("button_primary_text_color", "button_primary_text_color_hover"),
    "bad": ("error_text_color", "error_icon_color"),
}  # fmt: skip


def theme() -> gr.themes.Base:
    """Gradio's plainest theme in our colours."""
    plain = gr.themes.Base(primary_hue="blue", neutral_hue="slate", radius_size="md", font=_FONT, font_mono=_MONO)
    values = {}
    for name, uses in _USES.items():
        for use in uses:
            values[use] = LIGHT[name]
            if use != "color_accent":
                values[f"{use}_dark"] = DARK[name]
    return plain.set(
        **values,
        block_shadow="none",
        button_primary_shadow="none",
        button_secondary_shadow="none",
        block_border_width="1px",
        input_border_width="1px",
    )


def colours() -> str:
    """The same colours as CSS variables, for our own HTML."""
    accent = f".dark, .dark .gradio-container {{ --color-accent: {DARK['ink']} }}\n"  # gradio has one for both
    return _block(":root, .gradio-container", LIGHT) + _block(".dark, .dark .gradio-container", DARK) + accent


def _block(selector: str, values: dict[str, str]) -> str:
    rules = "".join(f"--cap-{name.replace('_', '-')}: {value}; " for name, value in values.items())
    return f"{selector} {{ {rules}}}\n"
