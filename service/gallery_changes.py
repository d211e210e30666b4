"""Changes of a gallery that is there: its name, or how it decides."""

from dataclasses import replace

from embedding.errors import RequestInvalid
from index.gallery import Gallery
from service.assembly import Parts
from service.bodies.galleries import GalleryChangeBody


def change_gallery(parts: Parts, name: str, body: GalleryChangeBody) -> Gallery:
    """The gallery, renamed or told how to decide; what is absent in the body stays.

    Raises:
        GalleryError: no such gallery, or a new name that is taken or cannot be one.
        RequestInvalid: nothing to change, a name together with something else, or no such rule.
    """
    rules = {"fusion", "max_templates", "smallest_lead"} & body.model_fields_set
    if body.name is not None:
        if rules:
            # Two commits: a failure in between would leave half of it.
            raise RequestInvalid("give a gallery another name by itself, without other changes")
        return parts.galleries.rename(name, body.name)
    if not rules:
        raise RequestInvalid("say what is to change: name, fusion, max_templates, smallest_lead")
    gallery = parts.galleries.get(name)
    chosen = gallery.rules()
    if body.fusion is not None:
        chosen = replace(chosen, fusion=body.fusion)
    if "max_templates" in rules:
        chosen = replace(chosen, max_templates=body.max_templates)
    if body.smallest_lead is not None:
        chosen = replace(chosen, smallest_lead=body.smallest_lead)
    gallery.set_rules(chosen)
    return gallery
