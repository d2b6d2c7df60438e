"""Teach a small CNN, from random weights, to see what a pretrained one sees: ``python -m captioner.distill RECIPE``.

Teacher and student look at the very same crop, cut, flipped, coloured and mixed anew every time ("a good teacher is
patient and consistent", Beyer et al. 2022). A linear map of the student's last feature map has to predict the
teacher's, place by place and pooled, and through the teacher's own classifier its classes. That map is dropped at the
end: what is exported is a plain transformers CNN folder that ``encoder.source`` can name.

``recipe`` holds the settings, ``photos`` what is looked at, ``crops`` how, ``networks`` teacher, student and loss,
``run`` a step, its state and its export, ``__main__`` the loop.
"""
