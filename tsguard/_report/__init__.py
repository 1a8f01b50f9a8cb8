"""``tsguard report``: what the cells of ``tsguard bench`` say, as a page, tables and figures.

Cells become one data frame (``_frame``), the frame becomes sections of tables (``_tables``) and
figures (``_figures``), and these are written as HTML and Markdown (``_page``).
"""
